"""Posts as the journal has them: the one place where texts lie outside of the memories."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

from recall_daemon.store.ledger import Place
from recall_wire.records import RECORD_SCHEMA, Record

KIND = "post"

# Of one entry, so that one object of the log stays small.
ENTRY_ROWS = 1_000
ENTRY_TEXT_CHARS = 4 << 20

_TIMES = ("created_at", "updated_at")
_FIELDS = tuple(name for name in RECORD_SCHEMA.names if name not in ("embedding", "target_system"))


def bodies(place: Place, row_no: int, records: Sequence[Record]) -> list[dict[str, Any]]:
    """Entries for records that are merged at `row_no` and up of a place."""
    return [
        {
            "system_id": place.system_id,
            "seq": place.seq,
            "sub": place.sub,
            "row_no": row_no + start,
            "rows": [_plain(record) for record in part],
        }
        for start, part in _parts(records)
    ]


def read(body: dict[str, Any]) -> tuple[Place, int, list[Record]]:
    """An entry's place, the number of its first record, and its records."""
    place = Place(str(body["system_id"]), int(body["seq"]), int(body["sub"]))
    return place, int(body["row_no"]), [_record(row) for row in body["rows"]]


def holds(body: dict[str, Any], system_id: str, ids: Collection[str]) -> int:
    """How many rows of an entry have content of these memories."""
    if body["system_id"] != system_id:
        return 0
    return sum(_has_content(row) and row["memory_id"] in ids for row in body["rows"])


def without(body: dict[str, Any], ids: Collection[str]) -> dict[str, Any]:
    """The entry without the content of these memories, which it then says are forgotten.

    Each row keeps its place.
    """
    rows = [
        {"memory_id": row["memory_id"], "op": "forget"} if row["memory_id"] in ids else row
        for row in body["rows"]
    ]
    return {**body, "rows": rows}


def _has_content(row: dict[str, Any]) -> bool:
    return bool(row.get("op", "upsert") == "upsert")


def _parts(records: Sequence[Record]) -> list[tuple[int, list[Record]]]:
    """The records with where they start, in parts that an entry can hold."""
    parts: list[tuple[int, list[Record]]] = []
    chars = 0
    for number, record in enumerate(records):
        chars += len(record.text or "") + len(record.metadata)
        if not parts or len(parts[-1][1]) >= ENTRY_ROWS or chars > ENTRY_TEXT_CHARS:
            parts.append((number, []))
            chars = 0
        parts[-1][1].append(record)
    return parts


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
