"""The state as an SQLite file: its schema, its versions, and what its errors mean."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from recall_uploader.errors import StateNewer, StateUnwritable

STATE_FILE = "state.sqlite"
STATE_VERSION = 2

# What SQLite says when the file may be whole but cannot be used now: a new one would be wrong.
_NOT_DAMAGE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
}

_SCHEMA_1 = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE sources (
    key TEXT PRIMARY KEY, complete INTEGER NOT NULL DEFAULT 0, newest_time TEXT, raw_sha256 TEXT
) WITHOUT ROWID;
CREATE TABLE rows (
    target TEXT NOT NULL, memory_id TEXT NOT NULL, source TEXT NOT NULL, hash BLOB NOT NULL,
    seq INTEGER NOT NULL, PRIMARY KEY (target, memory_id, source)
) WITHOUT ROWID;
CREATE TABLE forgotten (memory_id TEXT PRIMARY KEY, seq INTEGER) WITHOUT ROWID;
PRAGMA user_version = 1
"""
# `resends`: how often in a row a row was sent again because the hub had quarantined it. `deleted`:
# rows that a snapshot deletes, until the hub has it. `stamps`: files of a source that need no
# second reading. `quarantined`: what the hub said, and was acted upon, with the number of that
# snapshot's deletes that are not sent again.
_SCHEMA_2 = """
ALTER TABLE rows ADD COLUMN resends INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sources ADD COLUMN resends INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sources ADD COLUMN raw_seq INTEGER;
CREATE TABLE deleted (
    target TEXT NOT NULL, memory_id TEXT NOT NULL, source TEXT NOT NULL, seq INTEGER NOT NULL,
    resends INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (target, memory_id, source)
) WITHOUT ROWID;
CREATE TABLE stamps (
    source TEXT NOT NULL, name TEXT NOT NULL, stamp TEXT NOT NULL, PRIMARY KEY (source, name)
) WITHOUT ROWID;
CREATE TABLE quarantined (
    seq INTEGER PRIMARY KEY, reason TEXT NOT NULL, deletes_given_up INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE breakers (
    path TEXT PRIMARY KEY, failures INTEGER NOT NULL, opened_at REAL
) WITHOUT ROWID;
PRAGMA user_version = 2
"""
_MIGRATIONS = (_SCHEMA_1, _SCHEMA_2)


def connect(address: str) -> sqlite3.Connection:
    connection = sqlite3.connect(address, uri=True, isolation_level=None, timeout=5)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA temp_store = FILE")
    return connection


def check(connection: sqlite3.Connection, path: Path) -> int:
    """The version of the state in a file that is whole."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > STATE_VERSION:
        raise StateNewer(
            f"{path} was written by a newer version of recall (state version {version})",
            hint="upgrade recall on this machine",
        )
    if version < 1:
        raise sqlite3.DatabaseError("it holds no state")
    if (answer := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
        raise sqlite3.DatabaseError(answer)
    return version


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Inside a transaction, so that the schema and its number commit together."""
    for script in _MIGRATIONS[version:]:
        for statement in script.split(";"):
            connection.execute(statement)


def in_memory(connection: sqlite3.Connection) -> sqlite3.Connection:
    """A copy that may be changed, of a file that may not; the file's connection is closed."""
    copy = connect(":memory:")
    with closing(connection):
        connection.backup(copy)
    return copy


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """BEGIN IMMEDIATE … COMMIT; any exception rolls back. Raises `StateUnwritable`."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("COMMIT")
    except BaseException as error:
        with suppress(sqlite3.Error):  # after some errors SQLite has rolled back by itself
            connection.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error) and may_be_whole(error):
            raise StateUnwritable(
                f"the state file cannot be written: {error}",
                hint="see to the disk and its permissions, and run it again",
            ) from error
        raise


def may_be_whole(error: sqlite3.Error) -> bool:
    """SQLite could not use the file now, which says nothing against what is in it."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _NOT_DAMAGE
