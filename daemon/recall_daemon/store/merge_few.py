"""A few upserts into memories, in a handful of statements: what `merge.merge_rows` would do.

Each statement costs a third of a millisecond whatever it does, and `merge_rows` takes a dozen and
three temporary tables, which 50,000 rows need and one does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from recall_daemon.store import earlier, statements, vanished
from recall_daemon.store.content_hash import content_hash
from recall_daemon.store.ledger import Place
from recall_daemon.store.store import Connection
from recall_wire.records import Record, text_hash

# Of one system. With more, `merge_rows` is as fast.
FEW = 256

_FIELDS = (
    *("kind", "text", "created_at", "updated_at", "project", "namespace", "session_id"),
    *("agent_id", "user_id", "tags", "importance", "parent_id", "metadata", "base_version"),
)
_INSERTED = (
    *("system_id", "memory_id", "seq", "sub", "row_no", "row_id", "change_no", "text_hash"),
    *("content_hash", "merged_at", "state", "tier", *_FIELDS),
)

_INSERT = f"""
INSERT INTO store.memories ({", ".join(_INSERTED)}) VALUES {statements.places(1, len(_INSERTED))}
"""

_TOUCH = """
UPDATE store.memories SET seq = ?, sub = ?,
    row_no = (?::BIGINT[])[list_position(?::BIGINT[], rowid)]
WHERE rowid IN {}
"""


@dataclass(frozen=True)
class Batch:
    """Upserts of one system, numbered from `row_no`, at their place in its order."""

    place: Place
    row_no: int
    records: tuple[Record, ...]


@dataclass(frozen=True)
class Known:
    """What the store has of a memory. `at` is where, as long as nothing else changes it."""

    at: int
    row_id: int
    state: str
    rank: tuple[int, int, int]
    content_hash: str
    text_hash: str | None
    merged_at: datetime


Name = tuple[str, str]


@dataclass(frozen=True)
class _Winner:
    place: Place
    row_no: int
    record: Record
    content_hash: str
    known: Known | None

    @property
    def is_same(self) -> bool:
        """The same content from a higher place moves the place alone."""
        before = self.known
        return (
            before is not None
            and before.state == "live"
            and before.content_hash == self.content_hash
        )


@dataclass(frozen=True)
class Plan:
    """What batches change, in the order of their rows; `touched` only move to a higher place.

    `is_kept`: what the rows said before is a version already.
    """

    changed: tuple[_Winner, ...]
    touched: tuple[_Winner, ...]
    is_kept: bool = False

    @property
    def changes(self) -> int:
        return len(self.changed)

    @property
    def new(self) -> int:
        return sum(winner.known is None for winner in self.changed)


def known(connection: Connection, batches: Sequence[Batch]) -> dict[Name, Known]:
    """What the store has of a few memories, by system and id, in whatever state."""
    names = {(batch.place.system_id, r.memory_id) for batch in batches for r in batch.records}
    if not names:
        return {}
    systems, ids = sorted({name[0] for name in names}), sorted({name[1] for name in names})
    rows = statements.run(
        connection,
        "SELECT system_id, memory_id, rowid, row_id, state, seq, sub, row_no, content_hash, "
        "text_hash, merged_at FROM store.memories "
        f"WHERE memory_id IN {statements.places(1, len(ids))} "
        f"AND system_id IN {statements.places(1, len(systems))}",
        [*ids, *systems],
    ).fetchall()
    return {
        (system_id, memory_id): Known(at, row_id, state, (seq, sub, row_no), *rest)
        for system_id, memory_id, at, row_id, state, seq, sub, row_no, *rest in rows
        if (system_id, memory_id) in names
    }


def planned(batches: Sequence[Batch], have: Mapping[Name, Known]) -> Plan:
    """`have` is what `known` says of the batches. Of several records with an id the last counts."""
    winners = [winner for batch in batches for winner in _winners(batch, have)]
    return Plan(
        tuple(winner for winner in winners if not winner.is_same),
        tuple(winner for winner in winners if winner.is_same),
    )


def replacing(batch: Batch, known: Known | None) -> Plan:
    """One record in the place of what is known of it, whatever place that has."""
    record = batch.records[0]
    winner = _Winner(batch.place, batch.row_no, record, content_hash(record), known)
    return Plan((winner,), (), is_kept=True)


def _winners(batch: Batch, have: Mapping[Name, Known]) -> list[_Winner]:
    place = batch.place
    last = {r.memory_id: (number, r) for number, r in enumerate(batch.records, batch.row_no)}
    winners = []
    for number, record in sorted(last.values(), key=lambda numbered: numbered[0]):
        before = have.get((place.system_id, record.memory_id))
        if _wins(before, (place.seq, place.sub, number)):
            winners.append(_Winner(place, number, record, content_hash(record), before))
    return winners


def _wins(before: Known | None, rank: tuple[int, int, int]) -> bool:
    return before is None or (before.state != "forgotten" and before.rank < rank)


def apply(
    connection: Connection, plan: Plan, first_row: int, first_change: int, now: datetime
) -> None:
    """Change exactly what `merge_rows` would, inside the running transaction.

    Numbers from `first_row` and `first_change` on are taken: as many as are new, and change.
    """
    _touch(connection, plan.touched)
    if not plan.changed:
        return
    before = [winner.known for winner in plan.changed if winner.known is not None]
    if before:
        gone = [known.at for known in before]
        if not plan.is_kept:
            earlier.keep_rows(connection, gone)
        which = statements.places(1, len(gone))
        statements.run(connection, f"DELETE FROM store.memories WHERE rowid IN {which}", gone)
    rows: list[list[Any]] = []
    hashes = [text_hash(winner.record.text) for winner in plan.changed]
    for change_no, (winner, own) in enumerate(zip(plan.changed, hashes, strict=True), first_change):
        rows.append(_row(winner, first_row, change_no, own, now))
        first_row += winner.known is None
    _insert(connection, rows)
    vanished.note(connection, _replaced(plan.changed, hashes))


def _touch(connection: Connection, touched: Sequence[_Winner]) -> None:
    for place in dict.fromkeys(winner.place for winner in touched):
        mine = [winner for winner in touched if winner.place == place]
        at = [winner.known.at for winner in mine if winner.known is not None]
        numbers = [winner.row_no for winner in mine]
        statements.run(
            connection,
            _TOUCH.format(statements.places(1, len(at))),
            [place.seq, place.sub, numbers, at, *at],
        )


def _row(
    winner: _Winner, new_row: int, change_no: int, own_hash: str | None, now: datetime
) -> list[Any]:
    """The values of `_INSERTED`."""
    place, record, before = winner.place, winner.record, winner.known
    return [
        *(place.system_id, record.memory_id, place.seq, place.sub, winner.row_no),
        *(new_row if before is None else before.row_id, change_no, own_hash),
        *(winner.content_hash, now if before is None else before.merged_at, "live", "hot"),
        *(list(record.tags) if name == "tags" else getattr(record, name) for name in _FIELDS),
    ]


def _insert(connection: Connection, rows: Sequence[Sequence[Any]]) -> None:
    if len(rows) == 1:
        statements.run(connection, _INSERT, rows[0])
        return
    # Takes as long for 100 rows as for one, where VALUES take a fifth of a millisecond each.
    with connection.appender("store.memories", columns=list(_INSERTED)) as appender:
        appender.append_rows(rows)


def _replaced(changed: Sequence[_Winner], hashes: Sequence[str | None]) -> set[str]:
    """The texts that rows said before and say no more."""
    before = (None if winner.known is None else winner.known.text_hash for winner in changed)
    return {old for old, own in zip(before, hashes, strict=True) if old is not None and old != own}
