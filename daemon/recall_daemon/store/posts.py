"""Memories that came without a snapshot.

A run of posts is one entry of the ledger that grows: its rows are numbered in the order in which
they came. A run ends where something else takes a later place in the system's order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pyarrow as pa

from recall_daemon.store import ledger, memories, merge_few, post_entries
from recall_daemon.store.ledger import Entry, Place
from recall_daemon.store.merge import CONTENT_HASH_SQL, Merged, merge_rows
from recall_daemon.store.merge_few import FEW
from recall_daemon.store.store import Connection
from recall_wire.records import Record, text_hash, to_batch

LOCATOR = "post"


@dataclass(frozen=True)
class Posted:
    """Where the rows are: numbers `row_no` and up of a place."""

    place: Place
    row_no: int
    merged: Merged


def post(
    connection: Connection, system_id: str, records: Sequence[Record], now: datetime
) -> Posted:
    """Merge records into a system, the last of one id winning, inside the running transaction.

    The journal says so, too: no bucket has them. What was forgotten before comes into neither.
    """
    run, is_new = _run(connection, system_id, now)
    if is_new:
        ledger.see_system(connection, system_id, now)
    is_few = len(records) <= FEW and all(record.op == "upsert" for record in records)
    how = _merged_few if is_few else _merged_many
    merged, gone = how(connection, run, records, now)
    kept = [Record(r.memory_id, op="forget") if r.memory_id in gone else r for r in records]
    _settle(connection, run, len(records), now, is_new=is_new)
    post_entries.note(connection, run.place, run.rows_done, kept, now)
    return Posted(run.place, run.rows_done, merged)


def _merged_few(
    connection: Connection, run: Entry, records: Sequence[Record], now: datetime
) -> tuple[Merged, set[str]]:
    """And the ids that were forgotten before."""
    ids = list(dict.fromkeys(record.memory_id for record in records))
    have = merge_few.known(connection, run.place.system_id, ids)
    gone = {name for name, known in have.items() if known.state == "forgotten"}
    merged = merge_few.merge_few(
        connection, run.place, records, row_no=run.rows_done, have=have, now=now
    )
    return merged, gone


def _merged_many(
    connection: Connection, run: Entry, records: Sequence[Record], now: datetime
) -> tuple[Merged, set[str]]:
    ids = [record.memory_id for record in records]
    gone = memories.forgotten(connection, run.place.system_id, ids)
    kept = [Record(r.memory_id, op="forget") if r.memory_id in gone else r for r in records]
    return _merge(connection, run, kept, now), gone


_KNOWN = f"""
WITH posted AS (SELECT memory_id, {CONTENT_HASH_SQL} AS content_hash FROM posted_rows)
SELECT p.memory_id FROM posted p
JOIN memories m ON m.system_id = $system_id AND m.memory_id = p.memory_id
WHERE m.state = 'forgotten' OR (m.state = 'live' AND m.content_hash = p.content_hash)
"""


def known(connection: Connection, system_id: str, records: Sequence[Record]) -> set[str]:
    """The ids of those records whose posting would change no memory. Read-only."""
    if not records:
        return set()
    connection.register("posted_rows", pa.Table.from_batches([to_batch(records)]))
    try:
        found = connection.execute(_KNOWN, {"system_id": system_id}).fetchall()
    finally:
        connection.unregister("posted_rows")
    return {str(row[0]) for row in found}


def replay(connection: Connection, body: dict[str, Any], now: datetime) -> None:
    """Do again what a journal entry says. Idempotent: what is there already changes nothing."""
    place, row_no, records = post_entries.read(body)
    ledger.see_system(connection, place.system_id, now)
    known = ledger.find(connection, place)
    begun = replace(known or _new(place, now), rows_done=row_no)
    _merge(connection, begun, records, now)
    _settle(connection, begun, len(records), now, is_new=known is None)
    if known is not None and known.rows_done > begun.rows_done + len(records):
        ledger.record(connection, known)


def _run(connection: Connection, system_id: str, now: datetime) -> tuple[Entry, bool]:
    """The run of posts that is the newest of its system's order, or a new one, and which."""
    newest = ledger.newest(connection, system_id)
    if newest is not None and newest.kind == post_entries.KIND:
        return newest, False
    return _new(ledger.next_sub(connection, system_id), now), True


def _settle(connection: Connection, run: Entry, rows: int, now: datetime, *, is_new: bool) -> None:
    """The run has so many rows more."""
    done = run.rows_done + rows
    if is_new:
        ledger.record(connection, replace(run, rows=done, rows_done=done, settled_at=now))
    else:
        ledger.grow(connection, run.place, done, now)
    ledger.update_system(connection, run.place.system_id, last_merged_at=now)


def _new(place: Place, now: datetime) -> Entry:
    return Entry(
        place=place,
        origin="journal",
        locator=LOCATOR,
        state="merged",
        kind=post_entries.KIND,
        first_seen_at=now,
    )


def _merge(connection: Connection, run: Entry, records: Sequence[Record], now: datetime) -> Merged:
    rows = pa.Table.from_batches([to_batch(records)])
    numbers = pa.array(range(run.rows_done, run.rows_done + len(records)), pa.int64())
    hashes = pa.array([text_hash(record.text) for record in records], pa.string())
    rows = rows.append_column("row_no", numbers).append_column("text_hash", hashes)
    return merge_rows(connection, run.place, rows, now)
