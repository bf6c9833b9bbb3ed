"""What the command line does for somebody who speaks for an agent: in a store that this process
holds, or through the daemon that runs (`agents.remote_acting`)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from recall_daemon.agents.actor import Actor
from recall_daemon.agents.editing import Terms
from recall_daemon.agents.memories import SortField
from recall_daemon.agents.relations import Asked
from recall_daemon.agents.shared import Shared
from recall_daemon.agents.slices import SearchAsked
from recall_daemon.store.children import Order
from recall_daemon.store.shares import Permission

Json = dict[str, Any]


class ActingApi(Protocol):
    """Each as the route of that name answers it; a `body` is that route's."""

    def add(self, body: Json) -> Json: ...

    def get(self, names: Sequence[str]) -> Json: ...

    def children(self, name: str, limit: int, sort_field: SortField, sort_order: Order) -> Json: ...

    def search(self, asked: SearchAsked) -> Json: ...

    def update(self, name: str, changes: Json, terms: Terms) -> Json: ...

    def delete(self, name: str, cascade: bool, fence: int | None) -> Json: ...

    def reinforce(self, name: str, factor: float, fence: int | None) -> Json: ...

    def share(
        self, name: str, agents: Sequence[str], permission: Permission, expires_in_s: float | None
    ) -> Json: ...

    def relate(self, body: Json) -> Json: ...

    def unrelate(self, relationship_id: int, fence: int | None) -> Json: ...

    def related(self, name: str, type_: str | None, direction: Asked, limit: int) -> Json: ...

    def create_group(self, body: Json) -> Json: ...

    def add_to_group(self, group_id: int, names: Sequence[str]) -> Json: ...

    def groups(self, memory: str | None, limit: int, before: int | None) -> Json: ...

    def group(self, group_id: int, limit: int) -> Json: ...

    def create_session(self, body: Json) -> Json: ...

    def acquire(self, name: str, lease_s: float, wait_s: float) -> Json: ...

    def renew(self, name: str, fence: int, lease_s: float) -> Json: ...

    def release(self, name: str, fence: int) -> Json: ...


class ActingHere:
    """An `ActingApi` on an open store."""

    def __init__(self, shared: Shared, actor: Actor) -> None:
        self._shared = shared
        self._actor = actor

    def add(self, body: Json) -> Json:
        return self._shared.memories.add(self._actor, body)

    def get(self, names: Sequence[str]) -> Json:
        return self._shared.memories.get_many(self._actor, names)

    def children(self, name: str, limit: int, sort_field: SortField, sort_order: Order) -> Json:
        return self._shared.memories.children(
            self._actor, name, limit=limit, sort_field=sort_field, sort_order=sort_order
        )

    def search(self, asked: SearchAsked) -> Json:
        return self._shared.slices.search_agent_memories(self._actor, asked)

    def update(self, name: str, changes: Json, terms: Terms) -> Json:
        return self._shared.editing.update(self._actor, name, changes, terms)

    def delete(self, name: str, cascade: bool, fence: int | None) -> Json:
        return self._shared.deleting.delete(self._actor, name, cascade=cascade, fence=fence)

    def reinforce(self, name: str, factor: float, fence: int | None) -> Json:
        return self._shared.reinforcing.reinforce(self._actor, name, factor, fence=fence)

    def share(
        self, name: str, agents: Sequence[str], permission: Permission, expires_in_s: float | None
    ) -> Json:
        return self._shared.sharing.share_with_agents(
            self._actor, name, agents, permission=permission, expires_in_s=expires_in_s
        )

    def relate(self, body: Json) -> Json:
        return self._shared.relations.add(self._actor, body)

    def unrelate(self, relationship_id: int, fence: int | None) -> Json:
        return self._shared.relations.remove(self._actor, relationship_id, fence=fence)

    def related(self, name: str, type_: str | None, direction: Asked, limit: int) -> Json:
        return self._shared.relations.related(
            self._actor, name, type_=type_, direction=direction, limit=limit
        )

    def create_group(self, body: Json) -> Json:
        return self._shared.groups.create(self._actor, body)

    def add_to_group(self, group_id: int, names: Sequence[str]) -> Json:
        return self._shared.groups.add(self._actor, group_id, names)

    def groups(self, memory: str | None, limit: int, before: int | None) -> Json:
        return self._shared.groups.list(self._actor, memory, limit=limit, before=before)

    def group(self, group_id: int, limit: int) -> Json:
        return self._shared.groups.memories(self._actor, group_id, limit=limit)

    def create_session(self, body: Json) -> Json:
        return self._shared.sessions.create(self._actor, body)

    def acquire(self, name: str, lease_s: float, wait_s: float) -> Json:
        wanted = self._shared.locks.acquire(self._actor, name, lease_s=lease_s, wait_s=wait_s)
        return asyncio.run(wanted)

    def renew(self, name: str, fence: int, lease_s: float) -> Json:
        return self._shared.locks.renew(self._actor, name, fence, lease_s=lease_s)

    def release(self, name: str, fence: int) -> Json:
        return self._shared.locks.release(self._actor, name, fence)
