"""What only an instance can meet, beside the contract's errors."""

from __future__ import annotations

from recall_wire.errors import TerminalError, Throttled, TransientError


class StateBusy(TransientError):
    """Another run holds the state folder."""


class StateUnwritable(TransientError):
    """The state file could not be written now: a full disk, a disk error, or another's lock."""


class StateNewer(TerminalError):
    """The state folder was written by a newer version of this program."""


class SystemClash(TerminalError):
    """Two writers claim one system id, or this state folder is not this machine's own."""


class DeletesUnconfirmed(TerminalError):
    """So many rows are gone from the source, or it is so old, that a person must agree."""


class OutboxDamaged(TerminalError):
    """A snapshot in the outbox is not what was written there."""

    def __init__(self, seq: int, message: str) -> None:
        super().__init__(message)
        self.seq = seq


class OutboxFull(TransientError):
    """The outbox holds all it may; what is new stays in its source."""


class HubUnreachable(TransientError):
    """The hub did not answer, or failed."""


class HubThrottled(Throttled):
    """The hub cannot take anything now."""


class HubRefused(TerminalError):
    """The hub does not let this instance push, or is none: a person must change something."""
