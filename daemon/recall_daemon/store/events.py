"""What happened, for those who subscribe: numbered, and bounded."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from recall_daemon.store.store import Connection, next_numbers

KEPT = 10_000
_PRUNED_EVERY = 100
_BATCH = 1_000


@dataclass(frozen=True)
class Event:
    """`system_id` is None for what concerns the whole hub; `body` holds no memory's text."""

    event_id: int
    happened_at: datetime
    kind: str
    system_id: str | None
    body: dict[str, Any]


def append(
    connection: Connection,
    kind: str,
    system_id: str | None,
    body: Mapping[str, Any],
    now: datetime,
) -> int:
    """Note it in the running transaction; returns its id, ascending. The oldest go at `KEPT`."""
    event_id = next_numbers(connection, "event", 1)
    connection.execute(
        "INSERT INTO events VALUES (?, ?, ?, ?, ?)",
        [event_id, now, kind, system_id, json.dumps(body, ensure_ascii=False)],
    )
    if event_id % _PRUNED_EVERY == 0:
        connection.execute("DELETE FROM events WHERE event_id <= ?", [event_id - KEPT])
    return event_id


def after(connection: Connection, event_id: int, limit: int) -> list[Event]:
    """Those with a higher id, oldest first."""
    rows = connection.execute(
        "SELECT event_id, happened_at, kind, system_id, body FROM events "
        "WHERE event_id > ? ORDER BY event_id LIMIT ?",
        [event_id, limit],
    ).fetchall()
    return [Event(no, at, kind, system, json.loads(body)) for no, at, kind, system, body in rows]


def newest(connection: Connection, limit: int, holds: Callable[[Event], bool]) -> list[Event]:
    """The newest for which `holds` is true, newest first. Reads no more than it has to."""
    found: list[Event] = []
    below = last(connection) + 1
    while len(found) < limit and (batch := _before(connection, below)):
        found += [event for event in batch if holds(event)]
        below = batch[-1].event_id
    return found[:limit]


def _before(connection: Connection, event_id: int) -> list[Event]:
    rows = connection.execute(
        "SELECT event_id, happened_at, kind, system_id, body FROM events "
        "WHERE event_id < ? ORDER BY event_id DESC LIMIT ?",
        [event_id, _BATCH],
    ).fetchall()
    return [Event(no, at, kind, system, json.loads(body)) for no, at, kind, system, body in rows]


def last(connection: Connection) -> int:
    """The id of the newest event ever; 0 where there was none."""
    rows = connection.execute("SELECT value FROM counters WHERE name = 'event'").fetchall()
    return int(rows[0][0])
