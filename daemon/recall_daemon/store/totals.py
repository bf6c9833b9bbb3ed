"""How much the hub has taken in so far, by what the store itself says."""

from __future__ import annotations

from dataclasses import dataclass

from recall_daemon.store import pending
from recall_daemon.store.store import Connection


@dataclass(frozen=True)
class Totals:
    """Rows merged and texts embedded so far, texts that wait, and the change they are of.

    The first two fall when snapshots or texts go, and when a model is left.
    """

    change_no: int
    rows: int
    texts: int
    backlog: int


def last_change(connection: Connection) -> int:
    rows = connection.execute("SELECT value FROM counters WHERE name = 'change_no'").fetchall()
    return int(rows[0][0])


def totals(connection: Connection, space_id: str) -> Totals:
    """Reads no text; scans the ledger and the passages' numbers."""
    rows = connection.execute(
        "SELECT (SELECT coalesce(sum(CASE state WHEN 'merged' THEN rows + deletes "
        "ELSE rows_done END), 0)::BIGINT FROM snapshots WHERE state IN ('merged', 'merging')), "
        "(SELECT count(*) FROM passages WHERE passage = 0)"
    ).fetchall()
    merged, embedded = rows[0]
    return Totals(
        change_no=last_change(connection),
        rows=int(merged),
        texts=int(embedded),
        backlog=pending.backlog_size(connection, space_id),
    )
