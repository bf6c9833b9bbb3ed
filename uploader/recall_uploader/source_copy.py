"""A source that its owner may be writing, as a copy that was whole at one moment."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from recall_wire.errors import RecallError, SourceBusy, SourceInvalid, TransientError
from recall_wire.formats.duckdb_file import DuckDBFile
from recall_wire.formats.signatures import is_duckdb

_HEADER_BYTES = 3 * 4096  # DuckDB's three header blocks: every checkpoint changes one of them
_COPY_BYTES = 1 << 20
_FIRST_WAIT_S = 0.1
_VERIFY_MEMORY_BYTES = 1 << 30
# They exist while a checkpoint runs: until then the rows are spread over more files than two.
_CHECKPOINT_SUFFIXES = (".wal.checkpoint", ".wal.recovery")


@dataclass(frozen=True)
class _Seen:
    """One file at one moment; `inode` 0 where there is none."""

    inode: int = 0
    size_bytes: int = 0
    modified_ns: int = 0
    header: bytes = b""


@dataclass(frozen=True)
class _Pair:
    """A source and its write-ahead log at one moment."""

    main: _Seen
    wal: _Seen
    is_duckdb: bool


def copy_stable(
    source: Path,
    folder: Path,
    *,
    attempts: int = 5,
    sleep: Callable[[float], None] = time.sleep,
) -> Path:
    """Copy `source`, with its `.wal` where it has one, into `folder` and return the copy's path.

    The copy holds every row that was committed when the copying began: a write that touched what
    was copied is noticed and the copy made again, with growing waits. A log that only grew is
    none: DuckDB appends, so what was there before is whole. The source is only ever read, never
    opened by DuckDB, whose lock its owner may hold; a copy that DuckDB cannot open counts as torn.

    Raises `SourceBusy` after `attempts`, `SourceInvalid` for a file that is damaged itself,
    `TransientError` where the disk is full. What was copied so far is then removed.
    """
    failure: RecallError = SourceBusy(f"{source.name} could not be copied")
    torn: _Pair | None = None
    for attempt in range(attempts):
        if attempt:
            sleep(_FIRST_WAIT_S * 2 ** (attempt - 1))
        before = _look(source)
        try:
            return _attempt(source, folder / source.name, before)
        except SourceBusy as error:
            failure = error
        except SourceInvalid as error:
            # Twice the same bytes: nobody is writing, the source itself is bad.
            if torn == before:
                raise
            failure, torn = error, before
    raise failure


def _attempt(source: Path, copy: Path, before: _Pair) -> Path:
    made = [copy, _wal(copy)]
    try:
        if before.is_duckdb:
            _refuse_checkpoint(source)
            if before.wal.inode:
                # The log first: what it refers to in the main file was written before it.
                _copy_start(_wal(source), _wal(copy), before.wal.size_bytes)
        _copy_start(source, copy, before.main.size_bytes)
        if not _is_whole(before, _look(source)):
            raise SourceBusy(
                f"{source.name} was written to while it was copied",
                hint="try again when its owner is quiet",
            )
        if before.is_duckdb:
            _refuse_checkpoint(source)
            _verify(copy)
    except BaseException:
        for path in made:
            path.unlink(missing_ok=True)
        raise
    return copy


def _look(source: Path) -> _Pair:
    if source.is_dir() or (source.exists() and not source.is_file()):
        raise SourceInvalid(f"{source} is not a file")
    main = _see(source)
    if not main.inode:
        raise SourceInvalid(f"there is no file {source}", hint="check the path")
    return _Pair(main, _see(_wal(source)), is_duckdb=is_duckdb(main.header))


def _see(path: Path) -> _Seen:
    try:
        with path.open("rb") as file:
            stat = os.fstat(file.fileno())
            header = file.read(_HEADER_BYTES)
    except FileNotFoundError:
        return _Seen()
    except OSError as error:
        raise SourceInvalid(
            f"{path} cannot be read: {error.strerror or error}", hint="check its rights"
        ) from error
    return _Seen(stat.st_ino, stat.st_size, stat.st_mtime_ns, header)


def _is_whole(before: _Pair, after: _Pair) -> bool:
    """Whether a copy made between the two moments holds what the first one showed."""
    if not before.is_duckdb:
        return before.main == after.main
    return _only_grew(before.main, after.main) and _only_grew(before.wal, after.wal)


def _only_grew(before: _Seen, after: _Seen) -> bool:
    return (
        before.inode == after.inode
        and before.size_bytes <= after.size_bytes
        and after.header.startswith(before.header)
    )


def _refuse_checkpoint(source: Path) -> None:
    for suffix in _CHECKPOINT_SUFFIXES:
        if Path(f"{source}{suffix}").exists():
            raise SourceBusy(
                f"{source.name} is in the middle of a checkpoint",
                hint=f"where {source.name}{suffix} stays, let its owner open it once",
            )


def _verify(copy: Path) -> None:
    DuckDBFile(copy, scratch_dir=copy.parent, memory_max_bytes=_VERIFY_MEMORY_BYTES).close()


def _copy_start(source: Path, copy: Path, size: int) -> None:
    """The first `size` bytes, streamed. A source that is shorter by now is noticed afterwards."""
    try:
        with source.open("rb") as reading, copy.open("wb") as writing:
            left = size
            while left and (data := reading.read(min(_COPY_BYTES, left))):
                writing.write(data)
                left -= len(data)
    except FileNotFoundError as error:
        raise SourceBusy(f"{source.name} vanished while it was copied") from error
    except OSError as error:
        raise _copy_error(source, copy, error) from error


def _copy_error(source: Path, copy: Path, error: OSError) -> RecallError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return TransientError(
            f"no space left in {copy.parent} to copy {source.name}",
            hint="free some, or move the state folder to a larger disk",
        )
    return SourceInvalid(f"{source.name} cannot be copied: {error.strerror or error}")


def _wal(path: Path) -> Path:
    return Path(f"{path}.wal")
