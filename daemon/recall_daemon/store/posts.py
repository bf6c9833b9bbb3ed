"""Memories that came without a snapshot: merged, and in the journal, for no bucket has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pyarrow as pa

from recall_daemon.agents.config import NO_AGENTS, Agents
from recall_daemon.store import (
    arriving,
    audit_log,
    journal,
    ledger,
    memories,
    merge_few,
    post_entries,
    runs,
    side_tables,
)
from recall_daemon.store.audit_log import Act
from recall_daemon.store.ledger import Place
from recall_daemon.store.merge import CONTENT_HASH_SQL, merge_rows
from recall_daemon.store.merge_few import FEW, Batch
from recall_daemon.store.side_tables import Row
from recall_daemon.store.store import Connection, take_numbers
from recall_wire.records import Record, text_hash, to_batch


def post(connection: Connection, system_id: str, records: Sequence[Record], now: datetime) -> None:
    """As `post_all`, of one system."""
    post_all(connection, {system_id: records}, now)


def post_all(
    connection: Connection,
    parts: Mapping[str, Sequence[Record]],
    now: datetime,
    acts: Sequence[Act] = (),
    *,
    beside: Mapping[str, Sequence[Row]] = {},
    agents: Agents = NO_AGENTS,
) -> None:
    """Merge records into systems, the last of one id winning, inside the running transaction.

    The journal says so, too. What was forgotten before comes into neither. `acts` is what the audit
    log is to say, `beside` what the side tables are to hold. Memories that have versions are
    weighed as `agents` say.
    """
    parts = _weighed(connection, parts, agents, now)
    batches = [
        _batch(connection, system_id, records, now)
        for system_id, records in parts.items()
        if records
    ]
    few = [batch for batch in batches if _is_few(batch.records)]
    have = merge_few.known(connection, few)
    gone = {name for name, known in have.items() if known.state == "forgotten"}
    for batch in batches:
        if batch not in few:
            gone |= _merge_many(connection, batch, now)
    bodies = [body for batch in batches for body in _bodies(batch, gone)]
    plan = merge_few.planned(few, have)
    numbers = take_numbers(
        connection,
        {"row_id": plan.new, "change_no": plan.changes, "journal": len(bodies), "audit": len(acts)},
    )
    merge_few.apply(connection, plan, numbers["row_id"], numbers["change_no"], now)
    journal.append_all(connection, post_entries.KIND, bodies, now, first=numbers["journal"])
    audit_log.append_all(connection, acts, now, first=numbers["audit"])
    for table, rows in beside.items():
        side_tables.put(connection, table, rows, now)


def _weighed(
    connection: Connection, parts: Mapping[str, Sequence[Record]], agents: Agents, now: datetime
) -> dict[str, list[Record]]:
    """What is left to be merged as it is."""
    left: dict[str, list[Record]] = {}
    for system_id, records in parts.items():
        left[system_id], weighed = arriving.split_posted(connection, system_id, records)
        if weighed:
            taken = runs.take(connection, system_id, len(weighed), now)
            rows = enumerate(weighed, taken.row_no)
            arrivals = [arriving.Arrival(taken.place, row_no, record) for row_no, record in rows]
            arriving.weigh_all(connection, arrivals, agents, now)
    return left


def _batch(
    connection: Connection, system_id: str, records: Sequence[Record], now: datetime
) -> Batch:
    taken = runs.take(connection, system_id, len(records), now)
    return Batch(taken.place, taken.row_no, tuple(records))


def _is_few(records: Sequence[Record]) -> bool:
    return len(records) <= FEW and all(record.op == "upsert" for record in records)


def _merge_many(connection: Connection, batch: Batch, now: datetime) -> set[tuple[str, str]]:
    """Returns what was forgotten before."""
    system_id = batch.place.system_id
    ids = [record.memory_id for record in batch.records]
    gone = {(system_id, one) for one in memories.forgotten(connection, system_id, ids)}
    _merge(connection, batch.place, batch.row_no, _without(batch, gone), now)
    return gone


def _without(batch: Batch, gone: set[tuple[str, str]]) -> list[Record]:
    system_id = batch.place.system_id
    return [
        Record(one.memory_id, op="forget") if (system_id, one.memory_id) in gone else one
        for one in batch.records
    ]


def _bodies(batch: Batch, gone: set[tuple[str, str]]) -> list[dict[str, Any]]:
    return post_entries.bodies(batch.place, batch.row_no, _without(batch, gone))


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
    run = ledger.find(connection, place) or runs.new(place, now)
    _merge(connection, place, row_no, records, now)
    done = row_no + len(records)
    if done > run.rows_done:
        ledger.record(connection, replace(run, rows=done, rows_done=done, settled_at=now))
    ledger.update_system(connection, place.system_id, last_merged_at=now)


def _merge(
    connection: Connection, place: Place, row_no: int, records: Sequence[Record], now: datetime
) -> None:
    rows = pa.Table.from_batches([to_batch(records)])
    numbers = pa.array(range(row_no, row_no + len(records)), pa.int64())
    hashes = pa.array([text_hash(record.text) for record in records], pa.string())
    rows = rows.append_column("row_no", numbers).append_column("text_hash", hashes)
    # What is weighed was weighed when it came: the journal has what became of it.
    taken, _ = arriving.split(connection, place, rows)
    merge_rows(connection, place, taken, now)
