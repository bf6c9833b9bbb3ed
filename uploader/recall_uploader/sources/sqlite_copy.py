"""An SQLite database that its owner may be writing: copied whole, then read as nobody vouches."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote as quote_url

from recall_uploader.source_copy import copy_stable
from recall_uploader.sources.mapping import TableName
from recall_wire.errors import RecallError, SourceBusy, SourceInvalid, TransientError
from recall_wire.formats.duckdb_file import quote
from recall_wire.records import TEXT_MAX_BYTES

MAGIC = b"SQLite format 3\0"
_WAL_MODE = slice(18, 20)
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_BUSY_WAIT_S = 0.05
_FETCH_ROWS = 256
_VALUE_MAX_BYTES = 4 * TEXT_MAX_BYTES


def copy_sqlite(source: Path, folder: Path, *, busy_max: int = 200) -> Path:
    """Copy into `folder` what was committed at one moment, and return the copy's path.

    A log beside the database is honoured, and the source never written to. Raises `SourceBusy`
    where it stays locked for `busy_max` times 50 ms, `SourceInvalid` where it is damaged or cannot
    be read, `TransientError` where the disk is full.
    """
    if not _may_be_written(source):
        return copy_stable(source, folder)
    copy = folder / source.name
    with translated(source), closing(_connect(source)) as reading, closing(_new(copy)) as writing:
        # All pages in one step: under one lock, so that no writer can make it begin again.
        reading.backup(writing, pages=-1, progress=_patience(source, busy_max), sleep=_BUSY_WAIT_S)
        writing.execute("PRAGMA journal_mode = DELETE")
    return copy


class SQLiteFile:
    """Base tables of a copied database, and their rows in the order they are stored."""

    def __init__(self, copy: Path) -> None:
        """Raises `SourceInvalid` for a file that is damaged or no SQLite database."""
        self._copy = copy
        with self._reading() as connection:
            rows = connection.execute("PRAGMA table_list").fetchall()
        self.tables = [
            TableName(_name(schema), _name(name), _name(kind))
            for schema, name, kind, *_ in rows
            if _name(schema) == "main" and not _name(name).startswith("sqlite_")
        ]

    def columns(self, table: TableName) -> list[str]:
        """Stored columns only: a generated one is a program of whoever wrote the file."""
        with self._reading() as connection:
            rows = connection.execute(f"PRAGMA main.table_xinfo({quote(table.name)})").fetchall()
        return [_name(name) for _, name, _, _, _, _, hidden in rows if not hidden]

    def stream(self, table: TableName, columns: list[str]) -> Iterator[tuple[Any, ...]]:
        """The columns' values for every row, text as bytes, 256 rows at a time."""
        wanted = ", ".join(f"t.{quote(column)}" for column in columns)
        # NOT INDEXED: an index that holds all the columns would be read instead, in its own order.
        query = f"SELECT {wanted} FROM main.{quote(table.name)} AS t NOT INDEXED"
        with self._reading() as connection:
            cursor = connection.execute(query)
            while rows := cursor.fetchmany(_FETCH_ROWS):
                yield from rows

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with translated(self._copy), closing(_connect(self._copy, "&immutable=1")) as connection:
            connection.text_factory = bytes
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _VALUE_MAX_BYTES)
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA cell_size_check = ON")
            yield connection


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """What SQLite says about a file, as one sentence."""
    try:
        yield
    except sqlite3.Error as error:
        raise _translate(path, error) from error


def _translate(path: Path, error: sqlite3.Error) -> RecallError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _BUSY:
        return _locked(path)
    if code == sqlite3.SQLITE_FULL:
        return TransientError(f"no space left to copy {path.name}", hint="free some disk")
    if code == sqlite3.SQLITE_NOTADB:
        return SourceInvalid(
            f"{path.name} is damaged or encrypted: SQLite does not know it as its own"
        )
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY):
        return SourceInvalid(
            f"{path.name} cannot be opened", hint="check the rights of the file and its folder"
        )
    if code == sqlite3.SQLITE_TOOBIG:
        return SourceInvalid(f"{path.name} holds a value of more than {_VALUE_MAX_BYTES >> 20} MiB")
    said = "".join(char if char.isprintable() else "?" for char in str(error))[:200]
    return SourceInvalid(f"{path.name} is damaged: {said}", hint="copy it again")


def _locked(path: Path) -> SourceBusy:
    return SourceBusy(
        f"{path.name} is locked by another program", hint="try again when its owner is quiet"
    )


def _may_be_written(source: Path) -> bool:
    """Not where it keeps a log and there is none: whoever opens it last removes it.

    Then a plain copy is whole, and opening the source would leave new files beside it.
    """
    try:
        with source.open("rb") as file:
            keeps_log = file.read(20)[_WAL_MODE] == b"\x02\x02"
    except OSError:
        return False
    return not keeps_log or Path(f"{source}-wal").exists()


def _patience(source: Path, busy_max: int) -> Any:
    waited = 0

    def progress(status: int, _remaining: int, _total: int) -> None:
        nonlocal waited
        waited = waited + 1 if status in _BUSY else 0
        if waited > busy_max:
            raise _locked(source)

    return progress


def _connect(path: Path, options: str = "") -> sqlite3.Connection:
    name = quote_url(os.fsencode(path.absolute()))
    return sqlite3.connect(
        f"file:{name}?mode=ro{options}", uri=True, timeout=0, isolation_level=None
    )


def _new(copy: Path) -> sqlite3.Connection:
    copy.unlink(missing_ok=True)
    return sqlite3.connect(copy, timeout=0, isolation_level=None)


def _name(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
