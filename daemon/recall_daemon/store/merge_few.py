"""A few upserts into memories, in a handful of statements: what `merge.merge_rows` would do.

Each statement costs half a millisecond whatever it does, and `merge_rows` takes a dozen and three
temporary tables, which 50,000 rows need and one does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from recall_daemon.store.content_hash import content_hash
from recall_daemon.store.ledger import Place
from recall_daemon.store.merge import Merged
from recall_daemon.store.store import Connection
from recall_wire.records import Record, text_hash

# With more, the values of a statement cost more to plan than tables do.
FEW = 32

_FIELDS = (
    *("kind", "text", "created_at", "updated_at", "project", "namespace", "session_id"),
    *("agent_id", "user_id", "tags", "importance", "parent_id", "metadata", "base_version"),
)
_INSERTED = (
    *("system_id", "memory_id", "seq", "sub", "row_no", "row_id", "change_no", "text_hash"),
    *("content_hash", "merged_at", "state", "tier", *_FIELDS),
)

# Tags are a list, which DuckDB cannot update in place.
_UPDATE = f"""
UPDATE store.memories SET change_no = ?, state = 'live', seq = ?, sub = ?, row_no = ?,
    content_hash = ?, text_hash = ?, tier = 'hot', summary = NULL, cold_file = NULL,
    cold_row = NULL, {", ".join(f"{name} = ?" for name in _FIELDS if name != "tags")}
WHERE rowid = ?
"""

_VANISHED = """
DELETE FROM store.passages WHERE text_hash IN (
    SELECT text_hash FROM (SELECT unnest(?::VARCHAR[]) AS text_hash) gone
    WHERE text_hash NOT IN (
        SELECT text_hash FROM store.memories
        WHERE state = 'live' AND text_hash IN (SELECT unnest(?::VARCHAR[]))))
"""


@dataclass(frozen=True)
class Known:
    """What the store has of a memory. `at` is where, as long as the transaction lasts."""

    at: int
    row_id: int
    state: str
    rank: tuple[int, int, int]
    content_hash: str
    text_hash: str | None
    tags: list[str] | None
    merged_at: datetime


@dataclass(frozen=True)
class _Change:
    record: Record
    row_no: int
    row_id: int
    change_no: int
    text_hash: str | None
    known: Known | None


def known(connection: Connection, system_id: str, ids: Sequence[str]) -> dict[str, Known]:
    """What the store has of a few memories of a system, in whatever state."""
    these = ", ".join("?" * len(ids))
    rows = connection.execute(
        "SELECT memory_id, rowid, row_id, state, seq, sub, row_no, content_hash, text_hash, tags, "
        f"merged_at FROM store.memories WHERE memory_id IN ({these}) AND system_id = ?",
        [*ids, system_id],
    ).fetchall()
    return {
        name: Known(at, row_id, state, (seq, sub, row_no), *rest)
        for name, at, row_id, state, seq, sub, row_no, *rest in rows
    }


def merge_few(
    connection: Connection,
    place: Place,
    records: Sequence[Record],
    *,
    row_no: int,
    have: Mapping[str, Known],
    now: datetime,
) -> Merged:
    """Merge upserts, numbered from `row_no`, inside the running transaction. Idempotent.

    `have` is what `known` says of their ids. Changes exactly what `merge_rows` would.
    """
    numbered = {record.memory_id: (number, record) for number, record in enumerate(records, row_no)}
    winners = [
        (number, record, have.get(name))
        for name, (number, record) in numbered.items()
        if _wins(have.get(name), (place.seq, place.sub, number))
    ]
    winners.sort(key=lambda winner: winner[0])
    same = [winner for winner in winners if _is_same(winner[1], winner[2])]
    for number, _, before in same:
        assert before is not None
        connection.execute(
            "UPDATE store.memories SET seq = ?, sub = ?, row_no = ? WHERE rowid = ?",
            [place.seq, place.sub, number, before.at],
        )
    rest = [winner for winner in winners if winner not in same]
    if rest:
        _apply(connection, place, _numbered(connection, rest), now)
    return Merged(len(rest), len(same))


def _wins(before: Known | None, rank: tuple[int, int, int]) -> bool:
    return before is None or (before.state != "forgotten" and before.rank < rank)


def _is_same(record: Record, before: Known | None) -> bool:
    if before is None or before.state != "live":
        return False
    return before.content_hash == content_hash(record)


def _numbered(
    connection: Connection, winners: Sequence[tuple[int, Record, Known | None]]
) -> list[_Change]:
    """With their row ids and change numbers, in the order of their places."""
    new = sum(before is None for _, _, before in winners)
    taken = dict(
        connection.execute(
            "UPDATE store.counters SET value = value + CASE name WHEN 'row_id' THEN ? ELSE ? END "
            "WHERE name IN ('row_id', 'change_no') RETURNING name, value",
            [new, len(winners)],
        ).fetchall()
    )
    row_id, change_no = taken["row_id"] - new, taken["change_no"] - len(winners)
    changes: list[_Change] = []
    for number, record, before in winners:
        change_no += 1
        row_id += before is None
        own = row_id if before is None else before.row_id
        changes.append(_Change(record, number, own, change_no, text_hash(record.text), before))
    return changes


def _apply(
    connection: Connection,
    place: Place,
    changes: Sequence[_Change],
    now: datetime,
) -> None:
    inserted: list[_Change] = []
    vanished: set[str] = set()
    for change in changes:
        before = change.known
        if before is not None and before.text_hash not in (None, change.text_hash):
            vanished.add(str(before.text_hash))
        if before is not None and before.tags == list(change.record.tags):
            _update(connection, place, change, before)
            continue
        if before is not None:
            connection.execute("DELETE FROM store.memories WHERE rowid = ?", [before.at])
        inserted.append(change)
    if inserted:
        _insert(connection, place, inserted, now)
    if vanished:
        connection.execute(_VANISHED, [sorted(vanished)] * 2)


def _update(connection: Connection, place: Place, change: _Change, before: Known) -> None:
    own = content_hash(change.record)
    rank = [change.change_no, place.seq, place.sub, change.row_no]
    fields = [getattr(change.record, name) for name in _FIELDS if name != "tags"]
    connection.execute(_UPDATE, [*rank, own, change.text_hash, *fields, before.at])


def _insert(
    connection: Connection, place: Place, changes: Sequence[_Change], now: datetime
) -> None:
    values: list[Any] = []
    for one in changes:
        values += [place.system_id, one.record.memory_id, place.seq, place.sub, one.row_no]
        values += [one.row_id, one.change_no, one.text_hash, content_hash(one.record)]
        values += [now if one.known is None else one.known.merged_at, "live", "hot"]
        values += [_value(one.record, name) for name in _FIELDS]
    row = f"({', '.join('?' * len(_INSERTED))})"
    connection.execute(
        f"INSERT INTO store.memories ({', '.join(_INSERTED)}) "
        f"VALUES {', '.join([row] * len(changes))}",
        values,
    )


def _value(record: Record, name: str) -> Any:
    return list(record.tags) if name == "tags" else getattr(record, name)
