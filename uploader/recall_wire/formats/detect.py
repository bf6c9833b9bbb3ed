"""Which reader a file needs, told by its first bytes: a suffix says nothing."""

from __future__ import annotations

from pathlib import Path

from recall_wire.errors import SourceInvalid
from recall_wire.formats.base import ReadOptions, RecordSource
from recall_wire.formats.signatures import is_duckdb, is_parquet

_SQLITE = b"SQLite format 3\0"


def open_source(path: Path, options: ReadOptions) -> RecordSource:
    """The source in a file, by its content: DuckDB, Parquet, else JSON Lines.

    The file must not be written while it is read: copy a live one first. Raises `SourceInvalid`
    for a file that is none of them, `SourceBusy` for one that another process holds.
    """
    start = _first_bytes(path)
    if is_duckdb(start):
        from recall_wire.formats.session_buddy import SessionBuddySource

        return SessionBuddySource(path, options)
    if is_parquet(start):
        from recall_wire.formats.parquet_file import ParquetSource

        return ParquetSource(path, options)
    if start.startswith(_SQLITE) or not start.strip(b"\0"):
        what = "an SQLite database" if start.startswith(_SQLITE) else "empty"
        raise SourceInvalid(f"{path.name} is {what}, no DuckDB, Parquet or JSON Lines file")
    from recall_wire.formats.jsonl_file import JsonLinesSource

    return JsonLinesSource(path, options)


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(64)
    except OSError as error:
        raise SourceInvalid(
            f"{path} cannot be read: {error.strerror or error}",
            hint="check the path and its rights",
        ) from error
