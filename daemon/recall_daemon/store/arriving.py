"""Rows of snapshots and posts that are weighed against other versions, and not simply taken.

They are those of memories that have other versions already, those that say which version their
writer knew, and those that edit another system's memories.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from recall_daemon.agents.config import Agents
from recall_daemon.store import deletions, lives, locks, statements, traces, versions, weigh
from recall_daemon.store.ledger import Place
from recall_daemon.store.store import Connection
from recall_daemon.store.weigh import Held
from recall_daemon.versions.graph import Version
from recall_daemon.versions.settle import strategy_of
from recall_wire.records import RECORD_SCHEMA, Record

_PLAIN = tuple(name for name in RECORD_SCHEMA.names if name != "embedding")


@dataclass(frozen=True)
class Arrival:
    """A row with its place in the order of the system that sent it."""

    place: Place
    row_no: int
    record: Record

    @property
    def name(self) -> tuple[str, str]:
        """The memory that it is about."""
        return self.record.target_system or self.place.system_id, self.record.memory_id

    @property
    def is_foreign(self) -> bool:
        return self.name[0] != self.place.system_id


def split(connection: Connection, place: Place, rows: pa.Table) -> tuple[pa.Table, list[Arrival]]:
    """The rows that are merged as they are, and those that are weighed; see `merge.merge_rows`."""
    weighed = _weighed(connection, place.system_id, rows)
    if weighed is None:
        return rows, []
    arrivals = [
        Arrival(place, row["row_no"], _record(row)) for row in rows.filter(weighed).to_pylist()
    ]
    return rows.filter(pc.invert(weighed)), arrivals


def split_posted(
    connection: Connection, system_id: str, records: Sequence[Record]
) -> tuple[list[Record], list[Record]]:
    """As `split`, of records that came without a snapshot."""
    if not lives.weighed(connection, system_id):
        return list(records), []
    names = {(system_id, record.memory_id) for record in records}
    found = _lives(connection, names)
    weighed = {name[1] for name in names if name in found and found[name].is_weighed}
    return (
        [record for record in records if record.memory_id not in weighed],
        [record for record in records if record.memory_id in weighed],
    )


def targets(rows: pa.Table, system_id: str) -> list[tuple[str, str, str]]:
    """`(system_id, memory_id, op)` of the rows that are about another system's memories."""
    foreign = rows.filter(_foreign(rows, system_id)).select(["target_system", "memory_id", "op"])
    return [(row["target_system"], row["memory_id"], row["op"]) for row in foreign.to_pylist()]


def may_edit(
    connection: Connection, agents: Agents, editor: str, name: tuple[str, str], now: datetime
) -> bool:
    """Whether a system's snapshots may edit a memory of another: by the settings, or by a live
    grant of that memory."""
    if agents.may_edit(editor, name[0]):
        return True
    rows = statements.run(
        connection,
        "SELECT 1 FROM store.memory_shares WHERE memory_id = ? AND system_id = ? "
        "AND grantee_kind = 'system' AND grantee = ? AND permission = 'write' "
        "AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?)",
        [name[1], name[0], editor, now],
    ).fetchall()
    return bool(rows)


def check_locks(connection: Connection, arrivals: Sequence[Arrival], now: datetime) -> None:
    """Whether edits of other systems' memories may be made now: a snapshot carries no fence.

    What a system says of its own memories no lock holds up. Raises `MemoryLocked`.
    """
    names = [arrival.name for arrival in arrivals if arrival.is_foreign]
    for name, lock in locks.find_all(connection, names).items():
        if lock.lives(now):
            raise locks.locked(name, lock)


def weigh_all(
    connection: Connection, arrivals: Sequence[Arrival], agents: Agents, now: datetime
) -> int:
    """Weigh rows in the running transaction; returns how many memories serve something else now.

    Idempotent. What was forgotten stays so, and so does what was deleted and then purged.
    """
    foreign = {(one.name[0], one.place.system_id) for one in arrivals if one.is_foreign}
    for system_id, editor in sorted(foreign):
        traces.note_editor(connection, system_id, editor)
    return sum(_weigh(connection, arrival, agents, now) for arrival in arrivals)


def _weigh(connection: Connection, arrival: Arrival, agents: Agents, now: datetime) -> bool:
    held = weigh.hold(connection, *arrival.name, now, agents=agents)
    if held.row is not None and held.row.state == "forgotten":
        return False
    deletion_id = held.life.deletion_id
    if deletion_id is not None and deletions.is_purged(connection, deletion_id):
        return False
    version = _version(arrival, held, agents, now)
    weighed = weigh.weigh(connection, held, [version], strategy_of(agents), now)
    head = weighed.settled.head
    return (None if head is None else head.version_id) != held.head_id


def _version(arrival: Arrival, held: Held, agents: Agents, now: datetime) -> Version:
    record, place = arrival.record, arrival.place
    priority = agents.priority(record.agent_id)
    if not arrival.is_foreign:
        rank = (place.seq, place.sub, arrival.row_no)
        return versions.arrived_version(place.system_id, record, rank, priority=priority, now=now)
    return versions.edit_version(
        record,
        [] if record.base_version is None else [record.base_version],
        author=place.system_id,
        agent_id=record.agent_id,
        priority=priority,
        written_at=min(record.updated_at or record.created_at or now, now),
    )


def _weighed(connection: Connection, system_id: str, rows: pa.Table) -> pa.Array | None:
    """Which rows are weighed, as a mask; None: none."""
    foreign = _foreign(rows, system_id)
    based = pc.and_(pc.is_valid(rows["base_version"]), pc.equal(rows["op"], "upsert"))
    mask = pc.or_(foreign, based)
    if lives.weighed(connection, system_id):
        known = _known(connection, system_id, rows)
        own = pc.is_in(rows["memory_id"], value_set=pa.array(sorted(known), pa.string()))
        mask = pc.or_(mask, pc.and_(own, pc.not_equal(rows["op"], "forget")))
    return mask if pc.any(mask).as_py() else None


def _foreign(rows: pa.Table, system_id: str) -> pa.Array:
    return pc.fill_null(pc.not_equal(rows["target_system"], system_id), False)


def _known(connection: Connection, system_id: str, rows: pa.Table) -> set[str]:
    connection.register("arriving_rows", rows.select(["memory_id"]))
    try:
        found = connection.execute(
            "SELECT l.memory_id FROM store.lives l "
            "WHERE l.system_id = ? AND (l.head IS NOT NULL OR l.deletion_id IS NOT NULL) "
            "AND l.memory_id IN (SELECT memory_id FROM arriving_rows)",
            [system_id],
        ).fetchall()
    finally:
        connection.unregister("arriving_rows")
    return {str(row[0]) for row in found}


def _lives(
    connection: Connection, names: Collection[tuple[str, str]]
) -> Mapping[tuple[str, str], lives.Life]:
    found: dict[tuple[str, str], lives.Life] = {}
    wanted = sorted(names)
    for start in range(0, len(wanted), 500):
        found |= lives.find_all(connection, wanted[start : start + 500])
    return found


def _record(row: Mapping[str, object]) -> Record:
    values = {name: row[name] for name in _PLAIN if row[name] is not None}
    return Record(**{**values, "tags": tuple(row["tags"] or ())})  # type: ignore[arg-type]
