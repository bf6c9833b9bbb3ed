"""The journal: what was done by no snapshot, until it is in the bucket's log and in a backup."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from recall_daemon.store import ledger, statements
from recall_daemon.store.store import Connection, next_numbers

# The number of the last entry that is in the bucket's log.
_SHIPPED = "log_shipped"


@dataclass(frozen=True)
class JournalEntry:
    """One thing done. `kind` says how `body`, plain JSON, is replayed."""

    entry_no: int
    happened_at: datetime
    kind: str
    body: dict[str, Any]


def append(connection: Connection, kind: str, body: dict[str, Any], now: datetime) -> int:
    """Note what the running transaction does; returns the entry's number, ascending and dense.

    A transaction that is rolled back gives its number back.
    """
    entry_no = next_numbers(connection, "journal", 1)
    connection.execute(
        "INSERT INTO journal VALUES (?, ?, ?, ?)",
        [entry_no, now, kind, json.dumps(body, ensure_ascii=False)],
    )
    return entry_no


def append_all(
    connection: Connection,
    kind: str,
    bodies: Sequence[dict[str, Any]],
    now: datetime,
    *,
    first: int,
) -> None:
    """As `append`, of several under numbers that were taken already, from `first` on."""
    values: list[object] = []
    for entry_no, body in enumerate(bodies, first):
        values += [entry_no, now, kind, json.dumps(body, ensure_ascii=False)]
    if bodies:
        places = statements.places(len(bodies), 4)
        statements.run(connection, f"INSERT INTO journal VALUES {places}", values)


def unshipped(connection: Connection, limit: int, max_bytes: int) -> list[JournalEntry]:
    """The oldest entries that are not in the bucket's log, in order.

    At most `limit` and, past the first, `max_bytes` of bodies.
    """
    rows = connection.execute(
        "SELECT entry_no, happened_at, kind, body FROM ("
        "    SELECT * FROM journal WHERE entry_no > ? ORDER BY entry_no LIMIT ?) "
        "WINDOW earlier AS (ORDER BY entry_no) "
        "QUALIFY row_number() OVER earlier = 1 OR sum(strlen(body)) OVER earlier <= ? "
        "ORDER BY entry_no",
        [shipped(connection), limit, max_bytes],
    ).fetchall()
    return [JournalEntry(no, at, kind, json.loads(body)) for no, at, kind, body in rows]


def last(connection: Connection) -> int:
    """The number of the newest entry ever; 0 where there was none."""
    rows = connection.execute("SELECT value FROM counters WHERE name = 'journal'").fetchall()
    return int(rows[0][0])


def shipped(connection: Connection) -> int:
    """The number up to which everything is in the bucket's log."""
    return int(ledger.fact(connection, _SHIPPED) or 0)


def set_shipped(connection: Connection, entry_no: int) -> None:
    """Entries up to `entry_no` are in the bucket's log. Never goes back."""
    ledger.set_fact(connection, _SHIPPED, str(max(entry_no, shipped(connection))))


def skip_to(connection: Connection, entry_no: int) -> None:
    """Have new entries come after `entry_no`, which the bucket's log holds already."""
    connection.execute(
        "UPDATE counters SET value = greatest(value, ?) WHERE name = 'journal'", [entry_no]
    )
    set_shipped(connection, entry_no)


def prune(connection: Connection, upto: int) -> None:
    """Drop entries up to `upto` that are in the bucket's log."""
    connection.execute("DELETE FROM journal WHERE entry_no <= ?", [min(upto, shipped(connection))])
