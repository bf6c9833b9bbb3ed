"""Who did what, append-only: each row's hash covers the one before, so that a change shows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from recall_daemon.store import statements
from recall_daemon.store.store import Connection, next_numbers

_COLUMNS = "entry_no, happened_at, actor, action, system_id, body, hash"
_BATCH = 10_000


@dataclass(frozen=True)
class AuditEntry:
    """An act as the log has it; `body` is JSON."""

    entry_no: int
    happened_at: datetime
    actor: str
    action: str
    system_id: str | None
    body: str
    hash: str

    def expected_hash(self, before: str) -> str:
        return _hash(
            before,
            self.entry_no,
            self.happened_at,
            self.actor,
            self.action,
            self.system_id,
            self.body,
        )


@dataclass(frozen=True)
class Act:
    """Who did what to which system; `body` holds ids and counts, never the text of a memory."""

    actor: str
    action: str
    system_id: str | None
    body: Mapping[str, Any]


def append(connection: Connection, act: Act, now: datetime) -> int:
    """Note what the running transaction does; returns the entry's number, ascending and dense."""
    number = next_numbers(connection, "audit", 1)
    append_all(connection, [act], now, first=number)
    return number


def append_all(connection: Connection, acts: Sequence[Act], now: datetime, *, first: int) -> None:
    """As `append`, of several under numbers that were taken already, from `first` on."""
    if not acts:
        return
    rows = statements.run(
        connection, "SELECT hash FROM audit_log WHERE entry_no = ?", [first - 1]
    ).fetchall()
    before = rows[0][0] if rows else ""
    values: list[object] = []
    for entry_no, act in enumerate(acts, first):
        text = json.dumps(act.body, ensure_ascii=False, sort_keys=True)
        own = (entry_no, now, act.actor, act.action, act.system_id, text)
        before = _hash(before, *own)
        values += [*own, before]
    places = statements.places(len(acts), 7)
    statements.run(connection, f"INSERT INTO audit_log VALUES {places}", values)


def newest(
    connection: Connection, limit: int, *, before: int | None = None, action: str | None = None
) -> list[AuditEntry]:
    """The newest entries with a number below `before`, newest first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM audit_log WHERE entry_no < coalesce(?, 9223372036854775807) "
        "AND action = coalesce(?, action) ORDER BY entry_no DESC LIMIT ?",
        [before, action, limit],
    ).fetchall()
    return [AuditEntry(*row) for row in rows]


def problems(connection: Connection) -> list[str]:
    """One sentence for the first entry that was changed, and for entries that are missing."""
    last = connection.execute("SELECT value FROM counters WHERE name = 'audit'").fetchall()[0][0]
    before, number = "", 0
    rows = connection.execute(f"SELECT {_COLUMNS} FROM audit_log ORDER BY entry_no")
    while batch := rows.fetchmany(_BATCH):
        for row in batch:
            entry = AuditEntry(*row)
            number += 1
            if entry.entry_no != number:
                rows.fetchall()
                return [f"entry {number} of the audit log is missing"]
            if entry.hash != entry.expected_hash(before):
                rows.fetchall()
                return [f"entry {number} of the audit log was changed, or the one before it"]
            before = entry.hash
    return [] if number == last else [f"entry {number + 1} of the audit log is missing"]


def _hash(before: str, *values: object) -> str:
    plain = [v.astimezone(UTC).isoformat() if isinstance(v, datetime) else v for v in values]
    said = json.dumps([before, *plain], ensure_ascii=False)
    return hashlib.sha256(said.encode()).hexdigest()
