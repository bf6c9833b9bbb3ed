"""What can go wrong, said in one sentence, and whether trying again can help."""

from __future__ import annotations


class RecallError(Exception):
    """Base of every error a person sees.

    `message` says what is wrong and where; `hint` says what to do about it. `str(error)` is both,
    as one line.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = " ".join(message.split())
        self.hint = " ".join(hint.split())

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class TransientError(RecallError):
    """The same call may succeed later."""


class TerminalError(RecallError):
    """The same call will fail again until somebody changes something."""


class Throttled(TransientError):
    """The other side asked for fewer requests; `retry_after_s` where it said how long to wait."""

    def __init__(self, message: str, *, retry_after_s: float | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


# Buckets


class BucketUnreachable(TransientError):
    """No answer, a broken connection, or a 5xx."""


class BucketThrottled(Throttled):
    """The endpoint asked for fewer requests (429, 503 SlowDown)."""


class WriteConflict(TransientError):
    """409: another conditional write to the same key is under way; try again."""


class ObjectNotFound(TerminalError):
    """No such key, or no such multipart upload."""


class ObjectTooShort(TerminalError):
    """The object ends before the range that was asked for."""


class PreconditionFailed(TerminalError):
    """412: the key exists already (If-None-Match) or has changed (If-Match)."""


class BucketRefused(TerminalError):
    """Credentials, permission, region, clock or bucket name: an operator must change something."""


class UnsafeKey(TerminalError):
    """A key, system id or file name that could leave its system's prefix."""


# The contract


class ManifestInvalid(TerminalError):
    """A manifest that breaks the contract."""


class SnapshotInvalid(TerminalError):
    """Data that breaks the contract, or that disagrees with its manifest."""


class LimitExceeded(SnapshotInvalid):
    """Data larger than the limits the reader was given."""


# Sources


class SourceInvalid(TerminalError):
    """A file that holds no memories this program can read."""


class SourceBusy(TransientError):
    """The source's owner kept writing while it was copied."""


class SettingsInvalid(TerminalError):
    """A setting that is unknown, missing or malformed."""
