"""Relationships between memories: one of each type from one memory to another."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, Literal, get_args

from recall_daemon.agents.actor import Actor
from recall_daemon.agents.incoming import check_known, label
from recall_daemon.agents.memories import SharedMemories, check_limit
from recall_daemon.agents.naming import Naming, identity, rows_of
from recall_daemon.agents.showing import Json
from recall_daemon.errors import AgentInvalid, MemoryNotFound
from recall_daemon.store import answers, audit_log, locks, relations
from recall_daemon.store.answers import Key
from recall_daemon.store.audit_log import Act
from recall_daemon.store.moment import one_moment
from recall_daemon.store.relations import Direction, Identity, Relationship
from recall_daemon.store.showing import Memory
from recall_daemon.store.store import Connection, Store

Asked = Literal["both", "outgoing", "incoming"]
LIMIT: Final = 50
STRENGTH: Final = 1.0
_FIELDS = ("from_id", "to_id", "type", "strength", "fence")


class Relations:
    """Blocking; safe from many threads."""

    def __init__(
        self,
        store: Store,
        naming: Naming,
        memories: SharedMemories,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._naming = naming
        self._memories = memories
        self._now = now

    def add(self, actor: Actor, body: Mapping[str, Any], *, key: Key | None = None) -> Json:
        """`{relationship_id}`. The same again updates the strength, and keeps id and time.

        It belongs to the memory it goes out from, which the actor must be able to change; the other
        one it must see. Raises `AgentInvalid`, `MemoryNotFound`, `Forbidden`, `MemoryLocked`,
        `StaleFence`, `KeyReused`.
        """
        check_known(body, _FIELDS)
        type_, strength = label(body, "type"), _strength(body.get("strength"))
        if type_ is None:
            raise AgentInvalid("there is no type", hint="such as related_to or follows")
        names = _text(body, "from_id"), _text(body, "to_id")
        fence = read_fence(body.get("fence"))

        def work(connection: Connection) -> Json:
            now = self._now()

            def act() -> Json:
                source, target = self._ends(connection, actor, names, fence, now)
                asked = Relationship(0, *source, *target, type_, strength, actor.name, now)
                return _put(connection, asked)

            return answers.once(connection, key, now, act)

        return self._store.write(work)

    def _ends(
        self,
        connection: Connection,
        actor: Actor,
        names: tuple[str, str],
        fence: int | None,
        now: datetime,
    ) -> tuple[Identity, Identity]:
        source = self._naming.find_writable(connection, actor, names[0])
        target = self._naming.find(connection, actor, names[1])
        if source.row_id == target.row_id:
            raise AgentInvalid("a memory has no relationship to itself")
        locks.check(connection, [identity(source)], holder=actor.holder, fences=fence, now=now)
        return identity(source), identity(target)

    def remove(
        self,
        actor: Actor,
        relationship_id: int,
        *,
        fence: int | None = None,
        key: Key | None = None,
    ) -> Json:
        """`{relationship_id}`. Raises `MemoryNotFound` where there is none to be seen, and what
        `add` raises."""

        def work(connection: Connection) -> Json:
            now = self._now()

            def act() -> Json:
                known = self._known(connection, actor, relationship_id)
                locks.check(connection, [known.source], holder=actor.holder, fences=fence, now=now)
                relations.remove(connection, [known], now)
                _audit(connection, actor.name, "relationship.removed", known, now)
                return {"relationship_id": relationship_id}

            return answers.once(connection, key, now, act)

        return self._store.write(work)

    def _known(self, connection: Connection, actor: Actor, relationship_id: int) -> Relationship:
        """One that the actor may change."""
        known = relations.find(connection, relationship_id)
        ends = {} if known is None else rows_of(connection, [known.source, known.target])
        seen = self._naming.sight.seen(connection, actor, list(ends.values()))
        if known is None or len(seen) < len({known.source, known.target}):
            raise MemoryNotFound("there is no such relationship, or none that you may see")
        self._naming.check_writable(connection, actor, [ends[known.source]])
        return known

    def related(
        self,
        actor: Actor,
        name: str,
        *,
        type_: str | None = None,
        direction: Asked = "both",
        limit: int = LIMIT,
    ) -> Json:
        """`{related_memories: [{relationship, memory}], count}`: the strongest first, at most
        `limit` of those whose other memory the actor sees.

        Raises `MemoryNotFound`, `AgentInvalid`.
        """
        check_limit(limit)
        with one_moment(self._store) as connection:
            own = identity(self._naming.find(connection, actor, name))
            found = relations.of(connection, own, _directions(direction), type_)
            pairs = self._seen(connection, actor, own, found)[:limit]
            shown = self._memories.shown(actor, connection, [memory for _, memory in pairs])
        told = [
            {"relationship": _json(relationship, own), "memory": memory}
            for (relationship, _), memory in zip(pairs, shown(), strict=True)
        ]
        return {"related_memories": told, "count": len(told)}

    def _seen(
        self, connection: Connection, actor: Actor, own: Identity, found: list[Relationship]
    ) -> list[tuple[Relationship, Memory]]:
        """Each with its other memory."""
        rows = rows_of(connection, [_other(one, own) for one in found])
        seen = self._naming.sight.seen(connection, actor, list(rows.values()))
        by_name = {identity(memory): memory for memory in seen}
        others = ((one, by_name.get(_other(one, own))) for one in found)
        return [(one, memory) for one, memory in others if memory is not None]


def read_fence(value: object) -> int | None:
    """Raises `AgentInvalid` for what is no fence."""
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise AgentInvalid("fence is no whole number")


def _put(connection: Connection, asked: Relationship) -> Json:
    """As it is asked for, where there is none of that type between the two; its number is not given
    yet."""
    now = asked.created_at
    known = relations.between(connection, asked.source, asked.target, asked.type)
    if known is None:
        made = replace(asked, relationship_id=relations.next_id(connection, "relationships"))
    else:
        made = replace(known, strength=asked.strength)
    if made != known:
        relations.put(connection, [made], now)
        _audit(connection, asked.made_by, "relationship.added", made, now)
    return {"relationship_id": made.relationship_id}


def _audit(
    connection: Connection, actor: str, action: str, one: Relationship, now: datetime
) -> None:
    said = {
        "relationship_id": one.relationship_id,
        "type": one.type,
        "ids": [one.from_id],
        "to": "/".join(one.target),
    }
    audit_log.append(connection, Act(actor, action, one.from_system, said), now)


def _directions(asked: str) -> Collection[Direction]:
    if asked not in get_args(Asked):
        raise AgentInvalid(f"direction {asked[:40]!r} is none of {', '.join(get_args(Asked))}")
    return [one for one in get_args(Direction) if asked in ("both", one)]


def _other(one: Relationship, own: Identity) -> Identity:
    return one.target if one.source == own else one.source


def _json(one: Relationship, own: Identity) -> Json:
    return {
        "relationship_id": one.relationship_id,
        "type": one.type,
        "strength": round(one.strength, 6),
        "direction": "outgoing" if one.source == own else "incoming",
        "created_at": one.created_at.isoformat(),
    }


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        raise AgentInvalid(f"{name} is not the id of a memory")
    return value


def _strength(value: object) -> float:
    if value is None:
        return STRENGTH
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise AgentInvalid("strength is no number from 0 to 1")
    return float(value)
