"""Memories as agents add and read them. How one changes afterwards is `agents.editing`'s."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any, Final, Literal, get_args

from recall_daemon.agents.actor import Actor
from recall_daemon.agents.config import Agents, categories_of
from recall_daemon.agents.decay import anchor_of, effective
from recall_daemon.agents.incoming import BATCH_MAX, NewMemory, read_batch, read_new
from recall_daemon.agents.naming import Naming, identity
from recall_daemon.agents.showing import Json, Lives, Showing
from recall_daemon.agents.sight import Grants
from recall_daemon.errors import AgentInvalid, Forbidden
from recall_daemon.memory.fresh import Fresh
from recall_daemon.memory.posts import Posts
from recall_daemon.search.reach import Told
from recall_daemon.store import children, lives, showing
from recall_daemon.store.answers import Key
from recall_daemon.store.children import Order, Weighed
from recall_daemon.store.moment import one_moment
from recall_daemon.store.showing import Memory
from recall_daemon.store.store import Connection, Store
from recall_daemon.versions.content import root_id

SortField = Literal["created_at", "updated_at", "importance"]

LIMIT_MAX: Final = 1_000
CHILDREN: Final = 50
# Children are read so many at a time, until enough may be seen.
_PAGE: Final = 500


class SharedMemories:
    """Blocking; safe from many threads."""

    def __init__(
        self,
        store: Store,
        posts: Posts,
        naming: Naming,
        showing: Showing,
        grants: Grants,
        *,
        agents: Agents,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._posts = posts
        self._naming = naming
        self._showing = showing
        self._grants = grants
        self._agents = agents
        self._now = now

    def add(self, actor: Actor, body: Mapping[str, Any], *, key: Key | None = None) -> Json:
        """`{memory_id, system_id, version}`: durable when this returns.

        Raises `AgentInvalid`, `MemoryInvalid`, `Forbidden`, `MemoryExists`, `MemoryNotFound` (its
        parent) and `KeyReused`.
        """
        now = self._now()
        told: Json = self._add(actor, [read_new(body, actor, now)], key, now)[0]
        return told

    def add_batch(self, actor: Actor, body: Mapping[str, Any], *, key: Key | None = None) -> Json:
        """`{memory_ids, memories: [{memory_id, system_id, version}]}`: all of them, or none.

        A parent may be one of them. Raises what `add` raises.
        """
        now = self._now()
        told = self._add(actor, read_batch(body, actor, now), key, now)
        return {"memory_ids": [one["memory_id"] for one in told], "memories": told}

    def _add(
        self, actor: Actor, asked: Sequence[NewMemory], key: Key | None, now: datetime
    ) -> list[Json]:
        system_id = self._naming.own_system(actor)
        actor.caller.check_write(system_id)
        self._check_categories(actor, asked)
        new = self._with_parents(actor, system_id, asked)
        told = [
            {
                "memory_id": one.record.memory_id,
                "system_id": system_id,
                "version": root_id(one.record),
            }
            for one in new
        ]
        fresh = Fresh(
            names=frozenset((system_id, one.record.memory_id) for one in new),
            parents=frozenset((system_id, p) for one in new if (p := one.record.parent_id)),
            beside={"lives": [asdict(one.life(system_id, now)) for one in new]},
            answer=json.dumps(told),
        )
        records = [one.record for one in new]
        done = self._posts.begin({system_id: records}, actor=actor.name, key=key, fresh=fresh)
        answered: list[Json] = json.loads(done.result().answer)
        return answered

    def _check_categories(self, actor: Actor, asked: Sequence[NewMemory]) -> None:
        restricted = self._agents.restricted(actor.agent_id)
        for one in asked:
            denied = sorted(categories_of(one.record.tags) & restricted)
            if denied:
                raise Forbidden(f"the category {denied[0]!r} is closed to this agent")

    def _with_parents(
        self, actor: Actor, system_id: str, asked: Sequence[NewMemory]
    ) -> list[NewMemory]:
        """Each with the plain id of its parent, which is of the same system."""
        own = {one.record.memory_id for one in asked}
        names = [p for one in asked if (p := one.record.parent_id) and p not in own]
        parents: dict[str, Memory] = {}
        if names:
            with self._store.look_up() as connection:
                parents = {name: self._naming.find(connection, actor, name) for name in names}
        for parent in parents.values():
            if parent.system_id != system_id:
                raise AgentInvalid(
                    f"the parent is of the system {parent.system_id}, the memory of {system_id}",
                    hint="relate the two by a relationship",
                )
        return [
            replace(one, record=replace(one.record, parent_id=parents[name].memory_id))
            if (name := one.record.parent_id) in parents
            else one
            for one in asked
        ]

    def get(self, actor: Actor, name: str) -> Json:
        """`{memory}`. Raises `MemoryNotFound`, also for what is out of sight; `AgentInvalid`."""
        now = self._now()
        with one_moment(self._store) as connection:
            memory = self._naming.find(connection, actor, name)
            known = self._lives(connection, [memory])
        self.note(actor, [memory])
        return {"memory": self._showing.shown([memory], known, now)[0]}

    def get_many(self, actor: Actor, names: Sequence[str]) -> Json:
        """`{memories, count, missing}`, each memory once, in the order of the names.

        Raises `AgentInvalid`.
        """
        if len(names) > BATCH_MAX:
            raise AgentInvalid(f"ids has {len(names)} values; at most {BATCH_MAX} are allowed")
        now = self._now()
        with one_moment(self._store) as connection:
            found = self._naming.find_all(connection, actor, names)
            memories = {found[name].row_id: found[name] for name in names if name in found}
            known = self._lives(connection, list(memories.values()))
        self.note(actor, list(memories.values()))
        shown = self._showing.shown(list(memories.values()), known, now)
        missing = [name for name in dict.fromkeys(names) if name not in found]
        return {"memories": shown, "count": len(shown), "missing": missing}

    def children(
        self,
        actor: Actor,
        name: str,
        *,
        limit: int = CHILDREN,
        sort_field: SortField = "created_at",
        sort_order: Order = "desc",
    ) -> Json:
        """`{results, count}`: the children that the actor sees, at most `limit`.

        By `importance` is by the effective one. What has no value comes last either way, and of
        equals the lower id first. Raises `MemoryNotFound`, `AgentInvalid`.
        """
        check_limit(limit)
        now = self._now()
        with one_moment(self._store) as connection:
            parent = self._naming.find(connection, actor, name)
            row_ids = _in_order(connection, parent, sort_field, sort_order, now)
            found = self.first_seen(connection, actor, row_ids, limit)
            known = self._lives(connection, found)
        self.note(actor, found)
        return results(self._showing.shown(found, known, now))

    def first_seen(
        self, connection: Connection, actor: Actor, row_ids: Sequence[int], limit: int
    ) -> list[Memory]:
        """The first of these that the actor sees, in their order."""
        found: list[Memory] = []
        for start in range(0, len(row_ids), _PAGE):
            page = showing.by_row_ids(connection, row_ids[start : start + _PAGE])
            found += self._naming.sight.seen(connection, actor, page)
            if len(found) >= limit:
                break
        return found[:limit]

    def shown(
        self, actor: Actor, connection: Connection, memories: Sequence[Memory]
    ) -> Callable[[], list[Json]]:
        """These as JSON, once the connection is given back: texts may be fetched from far."""
        known, now = self._lives(connection, memories), self._now()

        def show() -> list[Json]:
            self.note(actor, memories)
            return self._showing.shown(memories, known, now)

        return show

    def note(self, actor: Actor, memories: Sequence[Memory]) -> None:
        """Have the audit log say which of these that were read other agents wrote."""
        sight = self._grants.sight(actor.name, actor.agent_id, actor.user_id)
        if sight is not None:
            sight.note([Told(m.system_id, m.memory_id, m.agent_id) for m in memories])

    def _lives(self, connection: Connection, memories: Sequence[Memory]) -> Lives:
        return lives.find_all(connection, [identity(memory) for memory in memories])


def _in_order(
    connection: Connection, parent: Memory, field: SortField, order: Order, now: datetime
) -> list[int]:
    if field not in get_args(SortField) or order not in get_args(Order):
        raise AgentInvalid(
            f"{field[:40]!r} {order[:40]!r} is no order of memories",
            hint=f"sort_field is one of {', '.join(get_args(SortField))}, sort_order of desc, asc",
        )
    if field != "importance":
        return children.by_time(connection, *identity(parent), field, order)
    found = children.weighed(connection, *identity(parent))
    sign = -1 if order == "desc" else 1
    found.sort(key=lambda one: (sign * _effective(one, now), one.memory_id))
    return [one.row_id for one in found]


def _effective(one: Weighed, now: datetime) -> float:
    anchored = (one.anchor_importance, one.anchored_at)
    return effective(anchor_of(one.memory_tier, anchored, one.importance, one.merged_at), now)


def check_limit(limit: int) -> None:
    if not 1 <= limit <= LIMIT_MAX:
        raise AgentInvalid(f"limit is {limit}; 1 to {LIMIT_MAX} are allowed")


def results(shown: Sequence[Json]) -> Json:
    return {"results": list(shown), "count": len(shown)}
