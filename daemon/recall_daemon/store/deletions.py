"""What agents and retention deleted: stubs in `memories`, the content as versions until it is
purged."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from typing import Any, Final, Literal, TypeVar

from recall_daemon.agents.config import CATEGORY_TAG
from recall_daemon.store import (
    lives,
    memories,
    purge,
    relations,
    side_tables,
    statements,
    versions,
)
from recall_daemon.store.lives import Life
from recall_daemon.store.relations import Member, Relationship
from recall_daemon.store.showing import Memory
from recall_daemon.store.store import Connection, next_numbers
from recall_daemon.store.versions import Change, Row
from recall_daemon.versions.content import FIELDS
from recall_daemon.versions.graph import Version
from recall_wire.records import Record

_One = TypeVar("_One")
Identity = tuple[str, str]
Reason = Literal["asked", "retention"]

_TABLE: Final = "deletions"
_AT_ONCE: Final = 250


@dataclass(frozen=True)
class Lifted:
    """A child that was given its grandparent as its parent; `parent_id`: which it has now."""

    system_id: str
    memory_id: str
    parent_id: str | None

    @property
    def identity(self) -> Identity:
        return self.system_id, self.memory_id


@dataclass(frozen=True)
class Stub:
    """A deleted memory: which version it had, and whose it was. `tags`: its categories alone, for
    what else a tag says is content, and goes with it."""

    system_id: str
    memory_id: str
    version: str
    project: str | None
    agent_id: str | None
    user_id: str | None
    tags: tuple[str, ...]

    @property
    def identity(self) -> Identity:
        return self.system_id, self.memory_id

    def memory(self, at: datetime) -> Memory:
        """As far as whoever asks who may see it needs one."""
        blank: dict[str, Any] = dict.fromkeys(field.name for field in fields(Memory))
        known = {**asdict(self), "tags": list(self.tags), "kind": "note", "merged_at": at}
        numbers = {"row_id": 0, "seq": 0, "sub": 0}
        told = {**known, **numbers, "content_hash": "", "tier": "hot"}
        return Memory(**{**blank, **{name: told[name] for name in blank if name in told}})


@dataclass(frozen=True)
class Deletion:
    """One act. `stubs`: the memory that was named comes first, of a retention all are alike."""

    deletion_id: int
    reason: Reason
    detail: str | None
    actor: str
    deleted_at: datetime
    stubs: tuple[Stub, ...]
    relationships: tuple[Relationship, ...] = ()
    members: tuple[Member, ...] = ()
    lifted: tuple[Lifted, ...] = ()
    undone_at: datetime | None = None
    purged_at: datetime | None = None


_COLUMNS = "deletion_id, reason, detail, actor, deleted_at, members, undone_at, purged_at"


def next_id(connection: Connection) -> int:
    """A number that no row has, also after a restore, which brings rows back and no counters."""
    connection.execute(
        "UPDATE store.counters SET value = greatest(value, "
        "(SELECT coalesce(max(deletion_id), 0) FROM store.deletions)) WHERE name = 'deletion'"
    )
    return next_numbers(connection, "deletion", 1)


def find(connection: Connection, deletion_id: int) -> Deletion | None:
    found = _select(connection, "deletion_id = ?", [deletion_id])
    return found[0] if found else None


def of_memory(connection: Connection, system_id: str, memory_id: str) -> list[Deletion]:
    """Those that deleted it, undone or not, newest first. Looks through all deletions."""
    quoted = json.dumps(memory_id, ensure_ascii=False)
    found = _select(connection, "contains(members, ?) ORDER BY deletion_id DESC", [quoted])
    name = (system_id, memory_id)
    return [one for one in found if any(stub.identity == name for stub in one.stubs)]


def is_purged(connection: Connection, deletion_id: int) -> bool:
    rows = statements.run(
        connection,
        "SELECT 1 FROM store.deletions WHERE deletion_id = ? AND purged_at IS NOT NULL",
        [deletion_id],
    ).fetchall()
    return bool(rows)


def due(connection: Connection, before: datetime, limit: int) -> list[int]:
    """The oldest that were made until then, and are neither undone nor purged."""
    rows = connection.execute(
        "SELECT deletion_id FROM deletions WHERE undone_at IS NULL AND purged_at IS NULL "
        "AND deleted_at <= ? ORDER BY deletion_id LIMIT ?",
        [before, limit],
    ).fetchall()
    return [int(row[0]) for row in rows]


def delete(
    connection: Connection,
    deletion: Deletion,
    memories: Sequence[Memory],
    far: Mapping[int, Record],
    now: datetime,
) -> Deletion:
    """Leave stubs of live memories, and keep their content, relationships and places in groups.

    In the running transaction and its journal. `far` has, by row id, the content of cold ones.
    Returns the deletion with all that undoing it needs.
    """
    stubs: list[Stub] = []
    for part in _parts(memories):
        stubs += _bury(connection, deletion.deletion_id, part, far, now)
    names = [stub.identity for stub in stubs]
    touching = relations.touching(connection, names)
    members = relations.memberships(connection, names)
    if touching:
        relations.remove(connection, touching, now)
    if members:
        relations.remove_members(connection, members, now)
    made = replace(
        deletion, stubs=tuple(stubs), relationships=tuple(touching), members=tuple(members)
    )
    put(connection, made, now)
    return made


def _bury(
    connection: Connection,
    deletion_id: int,
    memories: Sequence[Memory],
    far: Mapping[int, Record],
    now: datetime,
) -> list[Stub]:
    names = [(memory.system_id, memory.memory_id) for memory in memories]
    known, numbers = lives.find_all(connection, names), _row_numbers(connection, names)
    kept: dict[Identity, list[Version]] = {}
    changed, stubs = [], []
    for name, memory in zip(names, memories, strict=True):
        life = known.get(name) or Life(*name)
        home = None
        if life.head is None:
            record = far.get(memory.row_id) or _record(memory)
            home = versions.home_version(name[0], _row(memory, numbers[name]), record, now)
        head = life.head if home is None else home.version_id
        kept[name] = [] if home is None else [home]
        changed.append(replace(life, head=head, deletion_id=deletion_id))
        stubs.append(_stub(memory, head or ""))
    versions.bury(connection, kept, now)
    lives.put(connection, changed, now)
    return stubs


def restore(connection: Connection, deletion: Deletion, now: datetime) -> list[Identity]:
    """Bring back what a deletion deleted, in the running transaction and its journal.

    What its own system deleted meanwhile, or was forgotten, stays so. Returns what is live again.
    """
    back: list[Identity] = []
    for part in _parts(deletion.stubs):
        known = lives.find_all(connection, [stub.identity for stub in part])
        mine = [one for one in known.values() if one.deletion_id == deletion.deletion_id]
        for life in mine:
            if _serve(connection, life, now):
                back.append((life.system_id, life.memory_id))
        if mine:
            lives.put(connection, [replace(one, deletion_id=None) for one in mine], now)
    _restore_beside(connection, deletion, now)
    put(connection, replace(deletion, undone_at=now), now)
    return back


def purge_content(connection: Connection, deletion: Deletion, now: datetime) -> None:
    """Let go of the content of what a deletion deleted, in the running transaction: identities,
    times and authors of the versions stay. What is freed on the disk is noted in `store.purge`."""
    for part in _parts(deletion.stubs):
        known = lives.find_all(connection, [stub.identity for stub in part])
        for life in known.values():
            if life.deletion_id == deletion.deletion_id:
                _purge_versions(connection, life, now)
    put(connection, replace(deletion, purged_at=now), now)
    purge.ask(connection)


def put(connection: Connection, deletion: Deletion, now: datetime) -> None:
    root = deletion.stubs[0]
    row = {
        "deletion_id": deletion.deletion_id,
        "system_id": root.system_id,
        "memory_id": root.memory_id,
        "reason": deletion.reason,
        "detail": deletion.detail,
        "actor": deletion.actor,
        "deleted_at": deletion.deleted_at,
        "members": _members_json(deletion),
        "undone_at": deletion.undone_at,
        "purged_at": deletion.purged_at,
    }
    side_tables.put(connection, _TABLE, [row], now)


def _serve(connection: Connection, life: Life, now: datetime) -> bool:
    """Have the row say what its head says; whether there is one that says anything."""
    there = versions.load(connection, life.system_id, life.memory_id)
    head = next((one for one in there if one.version_id == life.head), None)
    row = versions.find_row(connection, life.system_id, life.memory_id)
    if head is None or head.record is None or row is None or row.state == "forgotten":
        return False
    change = Change(serve=head.record, known=row.known)
    versions.keep(connection, life.system_id, life.memory_id, change, now)
    return True


def _restore_beside(connection: Connection, deletion: Deletion, now: datetime) -> None:
    """A relationship whose other end was deleted since comes back with that one's undoing, too;
    nothing does of what was forgotten."""
    ends = [end for one in deletion.relationships for end in (one.source, one.target)]
    gone = _forgotten(connection, [*ends, *(one.identity for one in deletion.members)])
    back = [one for one in deletion.relationships if gone.isdisjoint((one.source, one.target))]
    if back:
        relations.put(connection, back, now)
    members = [one for one in deletion.members if one.identity not in gone]
    if members:
        relations.put_members(connection, members, now)


def _forgotten(connection: Connection, names: Sequence[Identity]) -> set[Identity]:
    found = memories.states(connection, names)
    return {name for name, state in found.items() if state == "forgotten"}


def _purge_versions(connection: Connection, life: Life, now: datetime) -> None:
    there = versions.load(connection, life.system_id, life.memory_id)
    emptied = [replace(one, record=None) for one in there if one.record is not None]
    versions.keep(connection, life.system_id, life.memory_id, Change(changed=emptied), now)


def _row_numbers(connection: Connection, names: Sequence[Identity]) -> dict[Identity, int]:
    ids = sorted({memory_id for _, memory_id in names})
    rows = statements.run(
        connection,
        "SELECT system_id, memory_id, row_no FROM store.memories "
        f"WHERE memory_id IN {statements.places(1, len(ids))}",
        ids,
    ).fetchall()
    return {(system_id, memory_id): int(row_no) for system_id, memory_id, row_no in rows}


def _row(memory: Memory, row_no: int) -> Row:
    rank = (memory.seq, memory.sub, row_no)
    return Row(memory.row_id, "live", memory.tier, rank, memory.content_hash, None)


def _record(memory: Memory) -> Record:
    values = {name: getattr(memory, name) for name in FIELDS}
    tags = tuple(memory.tags or ())
    return Record(memory.memory_id, **{**values, "metadata": memory.metadata or "{}", "tags": tags})


def _stub(memory: Memory, version: str) -> Stub:
    return Stub(
        memory.system_id,
        memory.memory_id,
        version,
        memory.project,
        memory.agent_id,
        memory.user_id,
        tuple(tag for tag in memory.tags or () if tag.startswith(CATEGORY_TAG)),
    )


def _members_json(deletion: Deletion) -> str:
    """A list: the stubs, the first with what was beside them all."""
    stubs: list[dict[str, Any]] = [asdict(stub) for stub in deletion.stubs]
    stubs[0] |= {
        "relationships": [_plain(asdict(one)) for one in deletion.relationships],
        "members": [_plain(asdict(one)) for one in deletion.members],
        "lifted": [asdict(one) for one in deletion.lifted],
    }
    return json.dumps(stubs, ensure_ascii=False)


def _select(connection: Connection, where: str, values: Sequence[object]) -> list[Deletion]:
    rows = statements.run(
        connection, f"SELECT {_COLUMNS} FROM store.deletions WHERE {where}", values
    ).fetchall()
    return [_deletion(row) for row in rows]


def _deletion(row: Sequence[Any]) -> Deletion:
    number, reason, detail, actor, deleted_at, members, undone_at, purged_at = row
    stubs = json.loads(members)
    beside = {name: stubs[0].pop(name) for name in ("relationships", "members", "lifted")}
    return Deletion(
        deletion_id=number,
        reason=reason,
        detail=detail,
        actor=actor,
        deleted_at=deleted_at,
        stubs=tuple(Stub(**{**one, "tags": tuple(one["tags"])}) for one in stubs),
        relationships=tuple(
            Relationship(**_timed(one, "created_at")) for one in beside["relationships"]
        ),
        members=tuple(Member(**_timed(one, "added_at")) for one in beside["members"]),
        lifted=tuple(Lifted(**one) for one in beside["lifted"]),
        undone_at=undone_at,
        purged_at=purged_at,
    )


def _timed(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {**row, name: datetime.fromisoformat(row[name])}


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in row.items()
    }


def _parts(items: Sequence[_One]) -> Iterable[Sequence[_One]]:
    return (items[at : at + _AT_ONCE] for at in range(0, len(items), _AT_ONCE))
