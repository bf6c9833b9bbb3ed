"""What an error of DuckDB means for whoever called: try again, make room, start again, restore."""

from __future__ import annotations

from pathlib import Path

import duckdb

from recall_daemon.errors import (
    DiskFull,
    StoreBroken,
    StoreBusy,
    StoreDamaged,
    StoreFailed,
    StoreRefused,
)
from recall_wire.errors import RecallError

RESTORE = "move the data folder away and run `recalld restore`: it brings back what the bucket has"
_ROOM = "make room: nothing of it was stored, and searches go on"

_FATAL = (duckdb.FatalException, duckdb.InternalException)
_ABOUT_VALUES = (
    duckdb.ConstraintException,
    duckdb.ConversionException,
    duckdb.InvalidInputException,
    duckdb.OutOfRangeException,
)
# DuckDB has one kind of error for all of a file's: the system's own words tell them apart.
_FULL = ("no space left", "disk full", "quota exceeded", "file too large")
_NOT_CHECKPOINTED = (
    'checkpoint failed for database "store"',
    'database "store" has been invalidated because checkpointing failed',
)
_DAMAGE = ("could not read enough bytes", "corrupt", "checksum")


def translated(error: duckdb.Error, path: Path) -> RecallError:
    """An error of the open store at `path`. Only `StoreBroken` needs a new process."""
    said = _first_line(error)
    if was_not_checkpointed(error):
        return StoreFailed(f"{path} is being opened again: {said}", hint="try again")
    is_fatal = isinstance(error, _FATAL)
    if _says(error, _FULL) and not is_fatal:
        return DiskFull(f"no space left for {path}", hint=_ROOM)
    if is_fatal or "invalidated" in said:
        return StoreBroken(f"{path} must be opened again: {said}")
    if isinstance(error, _ABOUT_VALUES):
        return StoreRefused(f"the store cannot hold these values: {said}")
    hint = RESTORE if _says(error, _DAMAGE) else ""
    return StoreFailed(f"the store at {path} failed: {said}", hint=hint)


def cannot_open(error: Exception, path: Path) -> RecallError:
    """Why the store at `path` did not open."""
    said = f"{path} cannot be opened: {_first_line(error)}"
    if _says(error, _FULL):
        return DiskFull(said, hint="make room and start again: nothing is lost")
    if isinstance(error, duckdb.IOException):
        if "lock" in str(error).lower():
            return StoreBusy(
                f"another process holds {path}", hint="stop it, or ask it through its port"
            )
        if "permission denied" in str(error).lower():
            return StoreDamaged(said, hint="give it to the user that recalld runs as")
    return StoreDamaged(said, hint=RESTORE)


def was_not_checkpointed(error: duckdb.Error) -> bool:
    """A checkpoint of the store failed half-way: until it is attached anew, nothing is answered."""
    said = str(error).lower()
    return any(words in said for words in _NOT_CHECKPOINTED)


def _says(error: Exception, words: tuple[str, ...]) -> bool:
    said = str(error).lower()
    return any(word in said for word in words)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
