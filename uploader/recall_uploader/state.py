"""What this instance has spooled and delivered: one small SQLite file in the state folder.

Every method that writes is one transaction; where the disk or a lock refuses it, it raises
`StateUnwritable` and nothing is written. The file can be lost at any time: that costs one full
snapshot, never a wrong one.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from recall_uploader import state_resends
from recall_uploader.state_file import (
    STATE_VERSION,
    check,
    connect,
    in_memory,
    migrate,
    transaction,
)
from recall_uploader.state_resends import STALE_HASH, Again

FINAL_NOTE = "final_seq"

_DELETE_ROW = (
    "INSERT OR REPLACE INTO deleted (target, memory_id, source, seq, resends)"
    " SELECT target, memory_id, source, :seq, iif(hash = :stale, resends, 0) FROM rows"
    " WHERE target = :target AND memory_id = :id",
    "DELETE FROM rows WHERE target = :target AND memory_id = :id",
)
_LEARN_ROW = (
    "INSERT INTO rows (target, memory_id, source, hash, seq)"
    " VALUES (:target, :id, :source, :hash, :seq)"
    " ON CONFLICT DO UPDATE SET hash = :hash, seq = :seq,"
    " resends = iif(hash = :stale, resends, 0)",
    "DELETE FROM deleted WHERE target = :target AND memory_id = :id AND source = :source",
)


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
    def create(
        cls, path: Path | None, identity: Identity, committed: Committed, next_seq: int = 1
    ) -> Self:
        """A new state, whose first number is `next_seq` or, if higher, the one after `committed`;
        `path` None keeps it in memory."""
        if path is not None:
            path.touch(mode=0o600)  # whatever the folder lets others see
        state = cls(connect(str(path) if path else ":memory:"))
        try:
            with transaction(state.connection):
                migrate(state.connection, 0)
                state._write_identity(identity, committed, next_seq)
        except BaseException:
            state.close()
            raise
        return state

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> Self:
        """Raises `StateNewer`, and `sqlite3.DatabaseError` for a file that is damaged."""
        mode = "ro" if read_only else "rw"
        connection = connect(f"{path.absolute().as_uri()}?mode={mode}")
        try:
            version = check(connection, path)
            if read_only and version < STATE_VERSION:
                connection = in_memory(connection)
            if version < STATE_VERSION:
                with transaction(connection):
                    migrate(connection, version)
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
    def first_seq(self) -> int:
        """The first number of this identity: what lies below is of a former one."""
        return int(self._meta("first_seq"))

    @property
    def is_new(self) -> bool:
        """Nothing was spooled under this instance id yet."""
        return self.next_seq == self.first_seq

    @property
    def final_seq(self) -> int:
        """Up to here, snapshots were delivered to the hub alone; 0 where none was."""
        return int(self.noted(FINAL_NOTE) or 0)

    @property
    def settled_seq(self) -> int:
        """Up to here, no number needs a snapshot in the outbox."""
        return max(self.committed.seq, self.final_seq, self.first_seq - 1)

    @property
    def committed(self) -> Committed:
        return Committed(int(self._meta("committed_seq")), self._meta("committed_sha256"))

    def begin_anew(self, identity: Identity, committed: Committed, next_seq: int = 1) -> None:
        """Go on under a new identity, numbered as in `create`: every row, and every forgotten id,
        is sent again; which rows a source had is kept, so that its deletes are still noticed."""
        with transaction(self.connection):
            self._send_all_again()
            self._set_meta(f"note_{FINAL_NOTE}", "0")
            self._write_identity(identity, committed, next_seq)

    def begin_bucket(self) -> None:
        """What was delivered to the hub alone goes into the bucket, too: as rows that are sent
        again, under numbers after those."""
        with transaction(self.connection):
            self._send_all_again()
            self._set_meta("first_seq", str(self.next_seq))
            self._set_meta(f"note_{FINAL_NOTE}", "0")

    def skip_to(self, seq: int) -> None:
        """Allot numbers from `seq` on; those passed over are somebody else's, and no holes."""
        with transaction(self.connection):
            self._set_meta("first_seq", str(seq))
            self._set_meta("next_seq", str(seq))

    def commit(self, committed: Committed) -> None:
        """The head that covers `committed` is written."""
        with transaction(self.connection):
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
        with transaction(self.connection):
            self._touch_source(source_key)
            for change in changes:
                self._learn_row(source_key, change, seq)
            if newest_time is not None:
                self._raise_newest_time(source_key, newest_time)
            if raw_sha256 is not None:
                self.connection.execute(
                    "UPDATE sources SET resends = iif(raw_sha256 IS NULL, resends, 0),"
                    " raw_sha256 = ?, raw_seq = ? WHERE key = ?",
                    (raw_sha256, seq, source_key),
                )
            self._set_meta("next_seq", str(max(self.next_seq, seq + 1)))

    def learn_forgotten(self, seq: int, memory_ids: Iterable[str]) -> None:
        """Snapshot `seq` forgets these ids: their rows are never sent again."""
        with transaction(self.connection):
            for memory_id in memory_ids:
                self.connection.execute(
                    "INSERT INTO forgotten VALUES (?, ?)"
                    " ON CONFLICT (memory_id) DO UPDATE SET seq = excluded.seq",
                    (memory_id, seq),
                )
                for table in ("rows", "deleted"):  # nor, then, that they were deleted
                    self.connection.execute(
                        f"DELETE FROM {table} WHERE target = '' AND memory_id = ?", (memory_id,)
                    )
            self._set_meta("next_seq", str(max(self.next_seq, seq + 1)))

    def unlearn(self, seq: int) -> None:
        """Snapshot `seq` will not be delivered: its rows, its deletes too, are sent again under a
        later number."""
        with transaction(self.connection):
            state_resends.unlearn(self.connection, seq)

    def learn_quarantined(self, seq: int, reason: str) -> bool:
        """The hub could not take snapshot `seq`: its rows are sent again under a later number.

        Rows that it refused `RESENDS_MAX` times in a row stay as they are, until they change:
        a snapshot that no hub can read must not be sent for ever. False where this was known.
        """
        with transaction(self.connection):
            return state_resends.learn_quarantined(self.connection, seq, reason)

    def quarantined(self, after: int) -> dict[int, str]:
        """Why the hub could not take snapshots after `after`, as far as it was learned."""
        return state_resends.quarantined(self.connection, after)

    def again(self, seq: int) -> Again:
        """Whether the rows of a snapshot that it could not take were sent again, or will be."""
        return state_resends.again(self.connection, seq)

    def settle(self, complete_to: int) -> None:
        """The hub has everything up to `complete_to`, or has said that it could not take it."""
        with transaction(self.connection):
            self.connection.execute("DELETE FROM deleted WHERE seq <= ?", (complete_to,))

    def source(self, source_key: str) -> SourceState:
        row = self.connection.execute(
            "SELECT complete, newest_time, raw_sha256 FROM sources WHERE key = ?", (source_key,)
        ).fetchone()
        if row is None:
            return SourceState()
        newest = datetime.fromisoformat(row[1]) if row[1] else None
        return SourceState(bool(row[0]), newest, row[2])

    def complete(self, source_key: str, stamps: Mapping[str, str] | None = None) -> None:
        """All of the source was spooled once; from now on its snapshots are deltas.

        `stamps`: all its files as they were, which need not be read again until they change.
        """
        with transaction(self.connection):
            self._touch_source(source_key)
            self.connection.execute("UPDATE sources SET complete = 1 WHERE key = ?", (source_key,))
            self.connection.execute("DELETE FROM stamps WHERE source = ?", (source_key,))
            self.connection.executemany(
                "INSERT INTO stamps VALUES (?, ?, ?)",
                ((source_key, name, stamp) for name, stamp in (stamps or {}).items()),
            )

    def send_again(self, source_key: str) -> None:
        """All of a source is to be sent again, however many runs that takes."""
        with transaction(self.connection):
            for statement in (
                "UPDATE rows SET hash = :stale WHERE source = :key",
                "UPDATE sources SET complete = 0 WHERE key = :key",
                "DELETE FROM stamps WHERE source = :key",
            ):
                self.connection.execute(statement, {"stale": STALE_HASH, "key": source_key})

    def stamps(self, source_key: str) -> dict[str, str]:
        query = "SELECT name, stamp FROM stamps WHERE source = ?"
        return dict(self.connection.execute(query, (source_key,)).fetchall())

    def to_forget(self, memory_ids: Iterable[str]) -> list[str]:
        """Of these ids, and of those forgotten under a former identity, the ones to send."""
        sent = {row[0] for row in self._query("SELECT memory_id FROM forgotten WHERE seq NOTNULL")}
        again = [row[0] for row in self._query("SELECT memory_id FROM forgotten WHERE seq ISNULL")]
        return list(dict.fromkeys([*again, *(item for item in memory_ids if item not in sent)]))

    def row_count(self, source_key: str) -> int:
        query = "SELECT count(*) FROM rows WHERE source = ?"
        return int(self.connection.execute(query, (source_key,)).fetchone()[0])

    # The paths

    def breaker(self, path: str) -> tuple[int, float | None]:
        """Failures in a row, and when it opened as seconds since the epoch."""
        query = "SELECT failures, opened_at FROM breakers WHERE path = ?"
        return self.connection.execute(query, (path,)).fetchone() or (0, None)

    def set_breaker(self, path: str, failures: int, opened_at: float | None) -> None:
        with transaction(self.connection):
            row = (path, failures, opened_at)
            self.connection.execute("INSERT OR REPLACE INTO breakers VALUES (?, ?, ?)", row)

    # What was said

    def note(self, key: str, value: str) -> None:
        """Keep a fact for `recall status`, such as the last ack that was read."""
        with transaction(self.connection):
            self._set_meta(f"note_{key}", value)

    def noted(self, key: str) -> str | None:
        query = "SELECT value FROM meta WHERE key = ?"
        row = self.connection.execute(query, (f"note_{key}",)).fetchone()
        return None if row is None else str(row[0])

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

    def _send_all_again(self) -> None:
        self.connection.execute("UPDATE rows SET hash = ?", (STALE_HASH,))
        self.connection.execute("UPDATE forgotten SET seq = NULL")
        self.connection.execute("UPDATE sources SET complete = 0, raw_sha256 = NULL")
        for table in ("stamps", "quarantined", "breakers"):
            self.connection.execute(f"DELETE FROM {table}")

    def _write_identity(self, identity: Identity, committed: Committed, next_seq: int) -> None:
        first_seq = str(max(next_seq, committed.seq + 1))
        self._set_meta("system_id", identity.system_id)
        self._set_meta("machine", identity.machine)
        self._set_meta("instance_id", identity.instance_id)
        self._set_meta("first_seq", first_seq)
        self._set_meta("next_seq", first_seq)
        self._write_committed(committed)

    def _write_committed(self, committed: Committed) -> None:
        self._set_meta("committed_seq", str(committed.seq))
        self._set_meta("committed_sha256", committed.manifest_sha256)

    def _touch_source(self, source_key: str) -> None:
        self.connection.execute("INSERT OR IGNORE INTO sources (key) VALUES (?)", (source_key,))

    def _learn_row(self, source_key: str, change: Change, seq: int) -> None:
        """A delete is one of the memory itself: other sources that have it send it again."""
        said = {
            "target": change.target,
            "id": change.memory_id,
            "source": source_key,
            "hash": change.hash,
            "seq": seq,
            "stale": STALE_HASH,
        }
        for statement in _DELETE_ROW if change.hash is None else _LEARN_ROW:
            self.connection.execute(statement, said)

    def _raise_newest_time(self, source_key: str, newest_time: datetime) -> None:
        known = self.source(source_key).newest_time
        if known is None or newest_time > known:
            self.connection.execute(
                "UPDATE sources SET newest_time = ? WHERE key = ?",
                (newest_time.astimezone(UTC).isoformat(), source_key),
            )
