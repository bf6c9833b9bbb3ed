"""What this instance has spooled and delivered: one small SQLite file in the state folder.

Every method that writes is one transaction; where the disk or a lock refuses it, it raises
`StateUnwritable` and nothing is written. The file can be lost at any time: that costs one full
snapshot, never a wrong one.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from recall_uploader.errors import StateNewer, StateUnwritable

STATE_FILE = "state.sqlite"
STATE_VERSION = 1
STALE_HASH = bytes(16)  # equals no row's hash: the row is sent again

# What SQLite says when the file may be whole but cannot be used now: a new one would be wrong.
_NOT_DAMAGE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
}

_SCHEMA = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE sources (
    key TEXT PRIMARY KEY, complete INTEGER NOT NULL DEFAULT 0, newest_time TEXT, raw_sha256 TEXT
) WITHOUT ROWID;
CREATE TABLE rows (
    target TEXT NOT NULL, memory_id TEXT NOT NULL, source TEXT NOT NULL, hash BLOB NOT NULL,
    seq INTEGER NOT NULL, PRIMARY KEY (target, memory_id, source)
) WITHOUT ROWID;
CREATE TABLE forgotten (memory_id TEXT PRIMARY KEY, seq INTEGER) WITHOUT ROWID;
PRAGMA user_version = {STATE_VERSION};
"""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who writes. `instance_id` is random, made with the state folder."""

    system_id: str
    machine: str
    instance_id: str

    @classmethod
    def new(cls, system_id: str, machine: str) -> Self:
        return cls(system_id, machine, secrets.token_hex(16))


@dataclass(frozen=True, slots=True)
class Committed:
    """The newest snapshot known to be in the bucket; seq 0 where there is none."""

    seq: int = 0
    manifest_sha256: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """What a snapshot says of one row. `hash` None: the row is deleted."""

    target: str
    memory_id: str
    hash: bytes | None


@dataclass(frozen=True, slots=True)
class SourceState:
    """What is known of a source. `complete`: all of it was spooled once."""

    complete: bool = False
    newest_time: datetime | None = None
    raw_sha256: str | None = None


class State:
    """Open through `State.open` or `State.create`; use under the state folder's lock."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    @classmethod
    def create(cls, path: Path | None, identity: Identity, committed: Committed) -> Self:
        """A new state that goes on after `committed`; `path` None keeps it in memory."""
        state = cls(_connect(str(path) if path else ":memory:"))
        try:
            with _transaction(state.connection):
                for statement in _SCHEMA.split(";"):
                    state.connection.execute(statement)
                state._write_identity(identity, committed)
        except BaseException:
            state.close()
            raise
        return state

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> Self:
        """Raises `StateNewer`, and `sqlite3.DatabaseError` for a file that is damaged."""
        mode = "ro" if read_only else "rw"
        connection = _connect(f"{path.absolute().as_uri()}?mode={mode}")
        try:
            _check(connection, path)
            state = cls(connection)
            _ = state.identity, state.committed, state.next_seq
        except BaseException:
            connection.close()
            raise
        return state

    def close(self) -> None:
        self.connection.close()

    # Identity and numbers

    @property
    def identity(self) -> Identity:
        return Identity(self._meta("system_id"), self._meta("machine"), self._meta("instance_id"))

    @property
    def next_seq(self) -> int:
        return int(self._meta("next_seq"))

    @property
    def is_new(self) -> bool:
        """Nothing was spooled under this instance id yet."""
        return self.next_seq == int(self._meta("first_seq"))

    @property
    def committed(self) -> Committed:
        return Committed(int(self._meta("committed_seq")), self._meta("committed_sha256"))

    def begin_anew(self, identity: Identity, committed: Committed) -> None:
        """Go on under a new identity after `committed`: every row, and every forgotten id, is
        sent again; which rows a source had is kept, so that its deletes are still noticed."""
        with _transaction(self.connection):
            self.connection.execute("UPDATE rows SET hash = ?", (STALE_HASH,))
            self.connection.execute("UPDATE forgotten SET seq = NULL")
            self.connection.execute("UPDATE sources SET complete = 0, raw_sha256 = NULL")
            self._write_identity(identity, committed)

    def commit(self, committed: Committed) -> None:
        """The head that covers `committed` is written."""
        with _transaction(self.connection):
            self._write_committed(committed)

    # What snapshots say

    def learn(
        self,
        seq: int,
        source_key: str,
        changes: Iterable[Change],
        *,
        newest_time: datetime | None = None,
        raw_sha256: str | None = None,
    ) -> None:
        """Snapshot `seq` lies in the outbox: remember its rows and allot the number after it."""
        with _transaction(self.connection):
            self._touch_source(source_key)
            for change in changes:
                self._learn_row(source_key, change, seq)
            if newest_time is not None:
                self._raise_newest_time(source_key, newest_time)
            if raw_sha256 is not None:
                self.connection.execute(
                    "UPDATE sources SET raw_sha256 = ? WHERE key = ?", (raw_sha256, source_key)
                )
            self._set_meta("next_seq", str(max(self.next_seq, seq + 1)))

    def learn_forgotten(self, seq: int, memory_ids: Iterable[str]) -> None:
        """Snapshot `seq` forgets these ids: their rows are never sent again."""
        with _transaction(self.connection):
            for memory_id in memory_ids:
                self.connection.execute(
                    "INSERT INTO forgotten VALUES (?, ?)"
                    " ON CONFLICT (memory_id) DO UPDATE SET seq = excluded.seq",
                    (memory_id, seq),
                )
                self.connection.execute(
                    "DELETE FROM rows WHERE target = '' AND memory_id = ?", (memory_id,)
                )
            self._set_meta("next_seq", str(max(self.next_seq, seq + 1)))

    def unlearn(self, seq: int, deleted: Iterable[tuple[str, Change]] = ()) -> None:
        """Snapshot `seq` will not be delivered: its rows are sent again under a later number.

        `deleted`: the rows it would have deleted, each with its source's key.
        """
        with _transaction(self.connection):
            self.connection.execute("UPDATE rows SET hash = ? WHERE seq = ?", (STALE_HASH, seq))
            self.connection.execute("UPDATE forgotten SET seq = NULL WHERE seq = ?", (seq,))
            self.connection.execute("UPDATE sources SET raw_sha256 = NULL")
            for source_key, change in deleted:
                stale = Change(change.target, change.memory_id, STALE_HASH)
                self._learn_row(source_key, stale, seq)

    def source(self, source_key: str) -> SourceState:
        row = self.connection.execute(
            "SELECT complete, newest_time, raw_sha256 FROM sources WHERE key = ?", (source_key,)
        ).fetchone()
        if row is None:
            return SourceState()
        newest = datetime.fromisoformat(row[1]) if row[1] else None
        return SourceState(bool(row[0]), newest, row[2])

    def complete(self, source_key: str) -> None:
        """All of the source was spooled once; from now on its snapshots are deltas."""
        with _transaction(self.connection):
            self._touch_source(source_key)
            self.connection.execute("UPDATE sources SET complete = 1 WHERE key = ?", (source_key,))

    def to_forget(self, memory_ids: Iterable[str]) -> list[str]:
        """Of these ids, and of those forgotten under a former identity, the ones to send."""
        sent = {row[0] for row in self._query("SELECT memory_id FROM forgotten WHERE seq NOTNULL")}
        again = [row[0] for row in self._query("SELECT memory_id FROM forgotten WHERE seq ISNULL")]
        return list(dict.fromkeys([*again, *(item for item in memory_ids if item not in sent)]))

    def row_count(self, source_key: str) -> int:
        query = "SELECT count(*) FROM rows WHERE source = ?"
        return int(self.connection.execute(query, (source_key,)).fetchone()[0])

    # Statements

    def _query(self, query: str) -> list[tuple[str]]:
        return self.connection.execute(query).fetchall()

    def _meta(self, key: str) -> str:
        row = self.connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise sqlite3.DatabaseError(f"{key} is missing")
        return str(row[0])

    def _set_meta(self, key: str, value: str) -> None:
        self.connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def _write_identity(self, identity: Identity, committed: Committed) -> None:
        self._set_meta("system_id", identity.system_id)
        self._set_meta("machine", identity.machine)
        self._set_meta("instance_id", identity.instance_id)
        self._set_meta("first_seq", str(committed.seq + 1))
        self._set_meta("next_seq", str(committed.seq + 1))
        self._write_committed(committed)

    def _write_committed(self, committed: Committed) -> None:
        self._set_meta("committed_seq", str(committed.seq))
        self._set_meta("committed_sha256", committed.manifest_sha256)

    def _touch_source(self, source_key: str) -> None:
        self.connection.execute("INSERT OR IGNORE INTO sources (key) VALUES (?)", (source_key,))

    def _learn_row(self, source_key: str, change: Change, seq: int) -> None:
        """A delete is one of the memory itself: other sources that have it send it again."""
        key = (change.target, change.memory_id)
        if change.hash is None:
            self.connection.execute("DELETE FROM rows WHERE target = ? AND memory_id = ?", key)
        else:
            self.connection.execute(
                "INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?)",
                (*key, source_key, change.hash, seq),
            )

    def _raise_newest_time(self, source_key: str, newest_time: datetime) -> None:
        known = self.source(source_key).newest_time
        if known is None or newest_time > known:
            self.connection.execute(
                "UPDATE sources SET newest_time = ? WHERE key = ?",
                (newest_time.astimezone(UTC).isoformat(), source_key),
            )


def _connect(address: str) -> sqlite3.Connection:
    connection = sqlite3.connect(address, uri=True, isolation_level=None, timeout=5)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA temp_store = FILE")
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > STATE_VERSION:
        raise StateNewer(
            f"{path} was written by a newer version of recall (state version {version})",
            hint="upgrade recall on this machine",
        )
    if version < STATE_VERSION:
        raise sqlite3.DatabaseError("it holds no state")
    if (answer := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
        raise sqlite3.DatabaseError(answer)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
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
