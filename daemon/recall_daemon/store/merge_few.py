"""A few upserts into memories, in a handful of statements: what `merge.merge_rows` would do.

Each statement costs half a millisecond whatever it does, and `merge_rows` takes a dozen and three
temporary tables, which 50,000 rows need and one does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from recall_daemon.store.ledger import Place
from recall_daemon.store.merge import CONTENT_HASH_SQL, Merged
from recall_daemon.store.store import Connection
from recall_wire.records import Record, text_hash

# With more, the values of a statement cost more to plan than tables do.
FEW = 32

_TYPES = {
    "kind": "VARCHAR",
    "text": "VARCHAR",
    "created_at": "TIMESTAMPTZ",
    "updated_at": "TIMESTAMPTZ",
    "project": "VARCHAR",
    "namespace": "VARCHAR",
    "session_id": "VARCHAR",
    "agent_id": "VARCHAR",
    "user_id": "VARCHAR",
    "tags": "VARCHAR[]",
    "importance": "FLOAT",
    "parent_id": "VARCHAR",
    "metadata": "VARCHAR",
    "base_version": "VARCHAR",
}
_ROW = f"({', '.join(f'?::{kind}' for kind in _TYPES.values())}"
_NAMES = ", ".join(_TYPES)

# Tags are a list, which DuckDB cannot update in place.
_UPDATE = f"""
UPDATE store.memories SET change_no = ?, state = 'live', seq = ?, sub = ?, row_no = ?,
    content_hash = ?, text_hash = ?, tier = 'hot', summary = NULL, cold_file = NULL,
    cold_row = NULL, {", ".join(f"{name} = ?" for name in _TYPES if name != "tags")}
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
    old = [(record, before) for _, record, before in winners if before and before.state == "live"]
    hashes = dict(zip((r.memory_id for r, _ in old), _hashes(connection, old), strict=True))
    same = [w for w in winners if w[2] and w[2].content_hash == hashes.get(w[1].memory_id)]
    for number, _, before in same:
        assert before is not None
        connection.execute(
            "UPDATE store.memories SET seq = ?, sub = ?, row_no = ? WHERE rowid = ?",
            [place.seq, place.sub, number, before.at],
        )
    rest = [winner for winner in winners if winner not in same]
    if rest:
        _apply(connection, place, _numbered(connection, rest), hashes, now)
    return Merged(len(rest), len(same))


def _wins(before: Known | None, rank: tuple[int, int, int]) -> bool:
    return before is None or (before.state != "forgotten" and before.rank < rank)


def _hashes(connection: Connection, old: Sequence[tuple[Record, Known]]) -> list[str]:
    """The content hashes of records, by the one expression that says what a content is."""
    if not old:
        return []
    rows = ", ".join(f"{_ROW}, {number})" for number in range(len(old)))
    found = connection.execute(
        f"SELECT {CONTENT_HASH_SQL} FROM (VALUES {rows}) t({_NAMES}, number) ORDER BY number",
        [value for record, _ in old for value in _values(record)],
    ).fetchall()
    return [str(row[0]) for row in found]


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
    hashes: Mapping[str, str],
    now: datetime,
) -> None:
    inserted: list[_Change] = []
    vanished: set[str] = set()
    for change in changes:
        before = change.known
        if before is not None and before.text_hash not in (None, change.text_hash):
            vanished.add(str(before.text_hash))
        if before is not None and before.tags == list(change.record.tags):
            _update(connection, place, change, before, hashes)
            continue
        if before is not None:
            connection.execute("DELETE FROM store.memories WHERE rowid = ?", [before.at])
        inserted.append(change)
    if inserted:
        _insert(connection, place, inserted, now)
    if vanished:
        connection.execute(_VANISHED, [sorted(vanished)] * 2)


def _update(
    connection: Connection,
    place: Place,
    change: _Change,
    before: Known,
    hashes: Mapping[str, str],
) -> None:
    own = hashes.get(change.record.memory_id)
    if own is None:
        own = _hashes(connection, [(change.record, before)])[0]
    rank = [change.change_no, place.seq, place.sub, change.row_no]
    fields = [getattr(change.record, name) for name in _TYPES if name != "tags"]
    connection.execute(_UPDATE, [*rank, own, change.text_hash, *fields, before.at])


def _insert(
    connection: Connection, place: Place, changes: Sequence[_Change], now: datetime
) -> None:
    names = (
        f"{_NAMES}, system_id, memory_id, seq, sub, row_no, row_id, change_no, text_hash, merged_at"
    )
    row = (
        f"{_ROW}, ?::VARCHAR, ?::VARCHAR, ?::BIGINT, ?::BIGINT, ?::BIGINT, ?::BIGINT, ?::BIGINT, "
        "?::VARCHAR, ?::TIMESTAMPTZ)"
    )
    values: list[Any] = []
    for one in changes:
        values += _values(one.record)
        values += [place.system_id, one.record.memory_id, place.seq, place.sub, one.row_no]
        values += [one.row_id, one.change_no, one.text_hash]
        values.append(now if one.known is None else one.known.merged_at)
    connection.execute(
        f"INSERT INTO store.memories ({names}, state, tier, content_hash) "
        f"SELECT {names}, 'live', 'hot', {CONTENT_HASH_SQL} "
        f"FROM (VALUES {', '.join([row] * len(changes))}) t({names}) ORDER BY change_no",
        values,
    )


def _values(record: Record) -> list[Any]:
    return [list(record.tags) if name == "tags" else getattr(record, name) for name in _TYPES]
