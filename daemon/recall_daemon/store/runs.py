"""Runs of posts: what came without a snapshot, as one entry of the ledger that grows.

Its rows are numbered in the order in which they came. A run ends where something else takes a later
place in the system's order. `systems` says which run is open, so that a post need not look for it:
`ledger.record` closes it with whatever else it writes of the system.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from recall_daemon.store import ledger, statements
from recall_daemon.store.ledger import Entry, Place
from recall_daemon.store.post_entries import KIND
from recall_daemon.store.store import Connection

LOCATOR = "post"

_GROW = """
UPDATE systems SET last_merged_at = ?, run_rows = run_rows + ? WHERE system_id = ?
RETURNING run_seq, run_sub, run_rows
"""
_GROW_ENTRY = """
UPDATE snapshots SET rows = ?, rows_done = ?, settled_at = ?
WHERE system_id = ? AND seq = ? AND sub = ?
"""


@dataclass(frozen=True)
class Taken:
    """Rows `row_no` and up of a place."""

    place: Place
    row_no: int


def take(connection: Connection, system_id: str, rows: int, now: datetime) -> Taken:
    """So many rows more of the system's newest run, a new one if need be; the caller merges them
    in the same transaction."""
    found = statements.run(connection, _GROW, [now, rows, system_id]).fetchall()
    if not found or found[0][0] is None:
        return _open(connection, system_id, rows, now)
    seq, sub, done = found[0]
    statements.run(connection, _GROW_ENTRY, [done, done, now, system_id, seq, sub])
    return Taken(Place(system_id, seq, sub), done - rows)


def new(place: Place, now: datetime) -> Entry:
    """The entry of a run without rows."""
    return Entry(
        place=place,
        origin="journal",
        locator=LOCATOR,
        state="merged",
        kind=KIND,
        first_seen_at=now,
    )


def _open(connection: Connection, system_id: str, rows: int, now: datetime) -> Taken:
    ledger.see_system(connection, system_id, now)
    run = ledger.newest(connection, system_id)
    if run is None or run.kind != KIND:
        run = new(ledger.next_sub(connection, system_id), now)
    done = run.rows_done + rows
    ledger.record(connection, replace(run, rows=done, rows_done=done, settled_at=now))
    place = run.place
    ledger.update_system(
        connection,
        system_id,
        last_merged_at=now,
        run_seq=place.seq,
        run_sub=place.sub,
        run_rows=done,
    )
    return Taken(place, run.rows_done)
