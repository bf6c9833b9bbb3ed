"""Relationships of memories, and the groups that memories are put into."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Final, Literal

from recall_daemon.store import side_tables, statements
from recall_daemon.store.store import Connection, next_numbers

Identity = tuple[str, str]
Direction = Literal["outgoing", "incoming"]

_RELATIONSHIPS: Final = "relationships"
_GROUPS, _MEMBERS = "context_groups", "group_members"
_KEY_OF = {_RELATIONSHIPS: ("relationship", "relationship_id"), _GROUPS: ("group", "group_id")}


@dataclass(frozen=True)
class Relationship:
    """One of each type from one memory to another; `strength` 0 to 1."""

    relationship_id: int
    from_system: str
    from_id: str
    to_system: str
    to_id: str
    type: str
    strength: float
    made_by: str
    created_at: datetime

    @property
    def source(self) -> Identity:
        return self.from_system, self.from_id

    @property
    def target(self) -> Identity:
        return self.to_system, self.to_id


@dataclass(frozen=True)
class Group:
    """`system_id`: where whoever made it writes."""

    group_id: int
    system_id: str
    name: str
    description: str | None
    agent_id: str | None
    user_id: str | None
    created_at: datetime


@dataclass(frozen=True)
class Member:
    """`position` ascends in the order in which members came."""

    group_id: int
    system_id: str
    memory_id: str
    position: int
    added_at: datetime

    @property
    def identity(self) -> Identity:
        return self.system_id, self.memory_id


_RELATIONSHIP = ", ".join(field.name for field in fields(Relationship))
_GROUP = ", ".join(field.name for field in fields(Group))
_MEMBER = ", ".join(field.name for field in fields(Member))


def next_id(connection: Connection, table: Literal["relationships", "context_groups"]) -> int:
    """A number that no row has, also after a restore, which brings rows back and no counters."""
    counter, column = _KEY_OF[table]
    connection.execute(
        "UPDATE store.counters SET value = greatest(value, "
        f"(SELECT coalesce(max({column}), 0) FROM store.{table})) WHERE name = ?",
        [counter],
    )
    return next_numbers(connection, counter, 1)


def find(connection: Connection, relationship_id: int) -> Relationship | None:
    found = _relationships(connection, "relationship_id = ?", [relationship_id])
    return found[0] if found else None


def between(
    connection: Connection, source: Identity, target: Identity, type_: str
) -> Relationship | None:
    found = _relationships(
        connection,
        "from_id = ? AND from_system = ? AND to_id = ? AND to_system = ? AND type = ?",
        [source[1], source[0], target[1], target[0], type_],
    )
    return found[0] if found else None


def of(
    connection: Connection,
    name: Identity,
    directions: Collection[Direction],
    type_: str | None = None,
) -> list[Relationship]:
    """Those of one memory, the strongest first, of equals the newest."""
    ends = {"outgoing": ("from_system", "from_id"), "incoming": ("to_system", "to_id")}
    wanted = [ends[one] for one in ("outgoing", "incoming") if one in directions]
    where = " OR ".join(f"({own_id} = ? AND {system} = ?)" for system, own_id in wanted)
    typed = "" if type_ is None else " AND type = ?"
    values = [value for _ in wanted for value in (name[1], name[0])]
    return _relationships(
        connection,
        f"({where}){typed} ORDER BY strength DESC, created_at DESC, relationship_id",
        [*values, *([] if type_ is None else [type_])],
    )


def touching(connection: Connection, names: Sequence[Identity]) -> list[Relationship]:
    """Those that have one of these memories at either end."""
    some = "(SELECT unnest(?::VARCHAR[]))"
    ids = [memory_id for _, memory_id in names]
    found = _relationships(connection, f"from_id IN {some} OR to_id IN {some}", [ids, ids])
    wanted = set(names)
    return [one for one in found if one.source in wanted or one.target in wanted]


def put(connection: Connection, relationships: Sequence[Relationship], now: datetime) -> None:
    """Write relationships, replacing those of the same numbers."""
    side_tables.put(connection, _RELATIONSHIPS, [asdict(one) for one in relationships], now)


def remove(connection: Connection, relationships: Sequence[Relationship], now: datetime) -> None:
    keys = [{"relationship_id": one.relationship_id} for one in relationships]
    side_tables.remove(connection, _RELATIONSHIPS, keys, now)


def find_group(connection: Connection, group_id: int) -> Group | None:
    rows = statements.run(
        connection, f"SELECT {_GROUP} FROM store.{_GROUPS} WHERE group_id = ?", [group_id]
    ).fetchall()
    return Group(*rows[0]) if rows else None


def groups(
    connection: Connection, *, of: Identity | None, before: int | None, limit: int
) -> list[Group]:
    """The newest first, below a number; `of`: those that this memory is in."""
    conditions, values = [], list[object]()
    if of is not None:
        conditions.append(
            f"group_id IN (SELECT group_id FROM store.{_MEMBERS} "
            "WHERE memory_id = ? AND system_id = ?)"
        )
        values += [of[1], of[0]]
    if before is not None:
        conditions.append("group_id < ?")
        values.append(before)
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    rows = statements.run(
        connection,
        f"SELECT {_GROUP} FROM store.{_GROUPS} {where} ORDER BY group_id DESC LIMIT ?",
        [*values, limit],
    ).fetchall()
    return [Group(*row) for row in rows]


def put_group(connection: Connection, group: Group, now: datetime) -> None:
    side_tables.put(connection, _GROUPS, [asdict(group)], now)


def members(connection: Connection, group_id: int) -> list[Member]:
    """In their order."""
    rows = statements.run(
        connection,
        f"SELECT {_MEMBER} FROM store.{_MEMBERS} WHERE group_id = ? ORDER BY position, memory_id",
        [group_id],
    ).fetchall()
    return [Member(*row) for row in rows]


def memberships(connection: Connection, names: Sequence[Identity]) -> list[Member]:
    """Those of these memories, of whatever group."""
    rows = connection.execute(
        f"SELECT {_MEMBER} FROM store.{_MEMBERS} WHERE memory_id IN (SELECT unnest(?::VARCHAR[]))",
        [[memory_id for _, memory_id in names]],
    ).fetchall()
    wanted = set(names)
    return [one for one in (Member(*row) for row in rows) if one.identity in wanted]


def put_members(connection: Connection, some: Sequence[Member], now: datetime) -> None:
    side_tables.put(connection, _MEMBERS, [asdict(member) for member in some], now)


def remove_members(connection: Connection, some: Sequence[Member], now: datetime) -> None:
    keys = [
        {"group_id": one.group_id, "system_id": one.system_id, "memory_id": one.memory_id}
        for one in some
    ]
    side_tables.remove(connection, _MEMBERS, keys, now)


def _relationships(
    connection: Connection, where: str, values: Sequence[object]
) -> list[Relationship]:
    rows = statements.run(
        connection, f"SELECT {_RELATIONSHIP} FROM store.{_RELATIONSHIPS} WHERE {where}", values
    ).fetchall()
    return [Relationship(*row) for row in rows]
