"""What can go wrong in the hub alone. The contract's errors are in `recall_wire.errors`."""

from __future__ import annotations

from collections.abc import Sequence

from recall_wire.errors import RecallError, TerminalError, TransientError


class StoreBusy(TransientError):
    """Another process holds the store."""


class StoreTooNew(TerminalError):
    """A newer recalld wrote this store."""


class StoreDamaged(TerminalError):
    """The store file cannot be opened."""


class StoreBroken(RecallError):
    """The open store can no longer be used: only a new process can open it again.

    Neither transient nor a snapshot's fault: whoever sees it lets it end the process.
    """


class HubStrained(TransientError):
    """This machine is short of something: processes, file handles, memory."""


class StoreFailed(TransientError):
    """A transaction did not commit; nothing of it is in the store."""


class StoreRefused(TerminalError):
    """The store cannot hold these values."""


class DiskFull(TransientError):
    """Less free space than ingest needs; search goes on."""


class SnapshotIncomplete(TransientError):
    """The manifest is there, a data object is absent or short: a folder that is still syncing."""


class SnapshotClash(TerminalError):
    """Two different snapshots with one number."""


class HubUnreachable(TransientError):
    """The running daemon does not answer on its port."""


class NotInQuarantine(TerminalError):
    """No quarantined snapshot with that system and number."""


class VerifyInvalid(TerminalError):
    """A proof that cannot be made as it was asked for."""


# Background work


class JobUnknown(TerminalError):
    """No kind of background work has that name."""


class JobRunning(TransientError):
    """A job of that kind is under way; one of a kind runs at a time."""


class JobStopped(TransientError):
    """The hub is stopping: what is left of a job waits for its next time."""


class JobFailed(TransientError):
    """A job that was asked for did not get through; it says why."""


# Log, backup and restore


class HubClash(TerminalError):
    """Another data folder works under this hub's id."""


class LogNotShipped(TransientError):
    """Done in this hub, and not in the bucket's log yet."""


class LogDamaged(TerminalError):
    """An object of the bucket's log that cannot be read."""


class BackupRunning(TransientError):
    """A backup is being made: which cold files it names is not settled yet."""


class BackupDamaged(TerminalError):
    """A backup that is not what its manifest says."""


class RestoreRefused(TerminalError):
    """A restore that would overwrite something, or does not know what to restore."""


# Models


class ModelChangeHeld(TransientError):
    """A new model cannot take over yet: texts that it needs are away."""


# Forgetting


class ForgetInvalid(TerminalError):
    """A forget that cannot be done as it was asked for."""


class NothingToForget(TerminalError):
    """No memory meets the criteria."""


class ForgetRefused(TerminalError):
    """A forget that nobody has confirmed."""


class ForgetHeld(TransientError):
    """What is to be forgotten cannot be found out, or not taken out everywhere, at present."""


# Pushing


class SeqRefused(TerminalError):
    """A number far beyond its system's others: merged, it would outrank all that follows."""


class SnapshotQuarantined(TerminalError):
    """A pushed snapshot that could not be read, and is listed with its reason."""


class PushNotOpen(TerminalError):
    """No push of that snapshot is open, or one of another manifest is."""


class PushHeld(TransientError):
    """Another instance is pushing a snapshot with that number."""


class PushBusy(TransientError):
    """A system sends more batches at once than it may."""


class BatchCorrupt(TransientError):
    """A batch arrived with other bytes than were sent."""


class BatchesMissing(TerminalError):
    """A commit names batches that are not there, or not with those bytes."""

    def __init__(self, numbers: Sequence[int]) -> None:
        super().__init__(f"{len(numbers)} batches are missing", hint="send them and commit again")
        self.numbers = tuple(numbers)


class KeyReused(TerminalError):
    """An idempotency key that was used for another request."""


class TooManySubscribers(TransientError):
    """As many streams of events are open as the hub keeps."""


class MemoryInvalid(TerminalError):
    """A memory that cannot be stored as it is."""


class MemoryNotFound(TerminalError):
    """No live memory of that name that the caller may see."""


class TokenInvalid(TerminalError):
    """A token that cannot be made as it was asked for."""


class TokenUnknown(TerminalError):
    """No token has that id."""


class Unauthorized(TerminalError):
    """No token, or one that is wrong, expired or revoked."""


class Forbidden(TerminalError):
    """The caller's role does not allow that."""


# Memories that several agents share


class AgentInvalid(TerminalError):
    """A request to the agents' side that says something that cannot be."""


class ReadNotNoted(TransientError):
    """What other agents wrote is not told, since the audit log could not take it down."""


class MemoryLocked(TransientError):
    """Another holds the lock of a memory."""


class LockWaitCut(TransientError):
    """The hub stops while somebody waits for a lock: the place in line is kept."""


class LockNotHeld(TerminalError):
    """The lock is not this holder's, or no longer."""


class StaleFence(TerminalError):
    """A fencing token that a later lock has overtaken."""


class MemoryExists(TerminalError):
    """A new memory whose name is taken, by whatever state of memory."""


class MemoryGone(TerminalError):
    """The memory is deleted; it can be brought back until it is purged."""


class ConflictNotFound(TerminalError):
    """No such conflict, or none that may be seen."""


class ResolutionInvalid(TerminalError):
    """A conflict cannot be resolved, or brought back, in that way."""
