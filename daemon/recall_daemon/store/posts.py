"""Memories that came without a snapshot.

A run of posts is one entry of the ledger that grows: its rows are numbered in the order in which
they came. A run ends where something else takes a later place in the system's order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from recall_daemon.store import journal, ledger
from recall_daemon.store.ledger import Entry, Place
from recall_daemon.store.merge import Merged, merge_rows
from recall_daemon.store.store import Connection
from recall_wire.records import RECORD_SCHEMA, Record, text_hash, to_batch

KIND = "post"
LOCATOR = "post"

# Of one journal entry, so that one object of the log stays small.
ENTRY_ROWS = 1_000
ENTRY_TEXT_CHARS = 4 << 20

_TIMES = ("created_at", "updated_at")
_FIELDS = tuple(name for name in RECORD_SCHEMA.names if name not in ("embedding", "target_system"))


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

    The journal says so, too: no bucket has them.
    """
    ledger.see_system(connection, system_id, now)
    run = _run(connection, system_id, now)
    posted = Posted(run.place, run.rows_done, _merge(connection, run, records, now))
    for start, part in _parts(records):
        body = _body(run.place, posted.row_no + start, part)
        journal.append(connection, KIND, body, now)
    return posted


def replay(connection: Connection, body: dict[str, Any], now: datetime) -> None:
    """Do again what a journal entry says. Idempotent: what is there already changes nothing."""
    place = Place(str(body["system_id"]), int(body["seq"]), int(body["sub"]))
    records = [_record(row) for row in body["rows"]]
    ledger.see_system(connection, place.system_id, now)
    known = ledger.find(connection, place)
    begun = replace(known or _new(place, now), rows_done=int(body["row_no"]))
    _merge(connection, begun, records, now)
    if known is not None and known.rows_done > begun.rows_done + len(records):
        ledger.record(connection, known)


def _run(connection: Connection, system_id: str, now: datetime) -> Entry:
    """The run of posts that is the newest of its system's order, or a new one."""
    newest = ledger.newest(connection, system_id)
    if newest is not None and newest.kind == KIND:
        return newest
    return _new(ledger.next_sub(connection, system_id), now)


def _new(place: Place, now: datetime) -> Entry:
    return Entry(
        place=place,
        origin="journal",
        locator=LOCATOR,
        state="merged",
        kind=KIND,
        first_seen_at=now,
    )


def _merge(connection: Connection, run: Entry, records: Sequence[Record], now: datetime) -> Merged:
    rows = pa.Table.from_batches([to_batch(records)])
    numbers = pa.array(range(run.rows_done, run.rows_done + len(records)), pa.int64())
    hashes = pa.array([text_hash(record.text) for record in records], pa.string())
    rows = rows.append_column("row_no", numbers).append_column("text_hash", hashes)
    merged = merge_rows(connection, run.place, rows, now)
    done = run.rows_done + len(records)
    ledger.record(connection, replace(run, rows=done, rows_done=done, settled_at=now))
    ledger.update_system(connection, run.place.system_id, last_merged_at=now)
    return merged


def _parts(records: Sequence[Record]) -> list[tuple[int, list[Record]]]:
    """The records with where they start, in parts that an entry of the journal can hold."""
    parts: list[tuple[int, list[Record]]] = []
    chars = 0
    for number, record in enumerate(records):
        chars += len(record.text or "") + len(record.metadata)
        if not parts or len(parts[-1][1]) >= ENTRY_ROWS or chars > ENTRY_TEXT_CHARS:
            parts.append((number, []))
            chars = 0
        parts[-1][1].append(record)
    return parts


def _body(place: Place, row_no: int, records: Sequence[Record]) -> dict[str, Any]:
    return {
        "system_id": place.system_id,
        "seq": place.seq,
        "sub": place.sub,
        "row_no": row_no,
        "rows": [_plain(record) for record in records],
    }


def _plain(record: Record) -> dict[str, Any]:
    values = {name: getattr(record, name) for name in _FIELDS}
    for name in _TIMES:
        values[name] = values[name].astimezone(UTC).isoformat() if values[name] else None
    values["tags"] = list(record.tags)
    return {name: value for name, value in values.items() if value not in (None, [])}


def _record(row: dict[str, Any]) -> Record:
    values = {name: row[name] for name in _FIELDS if name in row}
    for name in _TIMES:
        if name in values:
            values[name] = datetime.fromisoformat(values[name])
    return Record(**{**values, "tags": tuple(row.get("tags", ()))})
