"""Asks the daemon that runs what `ActingHere` does in-process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from recall_daemon.agents.editing import Terms
from recall_daemon.agents.memories import SortField
from recall_daemon.agents.relations import Asked
from recall_daemon.agents.remote import Call, query_of, quoted
from recall_daemon.agents.slices import SearchAsked
from recall_daemon.store.children import Order
from recall_daemon.store.shares import Permission

Json = dict[str, Any]

# As `SearchAsked` has it, and as the route takes it.
_SHARED: Final = ("include_shared", "include_shared_memories")


class RemoteActing:
    """An `ActingApi` over HTTP. `call` says for whom."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def add(self, body: Json) -> Json:
        return self._call("POST", "/v1/agent/memories", body)

    def get(self, names: Sequence[str]) -> Json:
        return self._call("POST", "/v1/agent/memories/get", {"ids": list(names)})

    def children(self, name: str, limit: int, sort_field: SortField, sort_order: Order) -> Json:
        asked = query_of(limit=limit, sort_field=sort_field, sort_order=sort_order)
        return self._call("GET", f"/v1/agent/children/{quoted(name)}{asked}")

    def search(self, asked: SearchAsked) -> Json:
        body = asdict(asked)
        body[_SHARED[1]] = body.pop(_SHARED[0])
        return self._call("POST", "/v1/agent/search", body)

    def update(self, name: str, changes: Json, terms: Terms) -> Json:
        body = {**changes, **asdict(terms)}
        return self._call("PATCH", f"/v1/agent/memories/{quoted(name)}", body)

    def delete(self, name: str, cascade: bool, fence: int | None) -> Json:
        asked = query_of(cascade=str(cascade).lower(), fence=fence)
        return self._call("DELETE", f"/v1/agent/memories/{quoted(name)}{asked}")

    def reinforce(self, name: str, factor: float, fence: int | None) -> Json:
        body = {"memory_id": name, "factor": factor, "fence": fence}
        return self._call("POST", "/v1/agent/reinforce", body)

    def share(
        self, name: str, agents: Sequence[str], permission: Permission, expires_in_s: float | None
    ) -> Json:
        body = {
            "memory_id": name,
            "agents": list(agents),
            "permission": permission,
            "expires_in_s": expires_in_s,
        }
        return self._call("POST", "/v1/shares", body)

    def relate(self, body: Json) -> Json:
        return self._call("POST", "/v1/agent/relationships", body)

    def unrelate(self, relationship_id: int, fence: int | None) -> Json:
        path = f"/v1/agent/relationships/{relationship_id}{query_of(fence=fence)}"
        return self._call("DELETE", path)

    def related(self, name: str, type_: str | None, direction: Asked, limit: int) -> Json:
        asked = query_of(type=type_, direction=direction, limit=limit)
        return self._call("GET", f"/v1/agent/relationships/{quoted(name)}{asked}")

    def create_group(self, body: Json) -> Json:
        return self._call("POST", "/v1/agent/groups", body)

    def add_to_group(self, group_id: int, names: Sequence[str]) -> Json:
        body = {"memory_ids": list(names)}
        return self._call("POST", f"/v1/agent/groups/{group_id}/members", body)

    def groups(self, memory: str | None, limit: int, before: int | None) -> Json:
        asked = query_of(memory_id=memory, limit=limit, before=before)
        return self._call("GET", f"/v1/agent/groups{asked}")

    def group(self, group_id: int, limit: int) -> Json:
        return self._call("GET", f"/v1/agent/groups/{group_id}/memories{query_of(limit=limit)}")

    def create_session(self, body: Json) -> Json:
        return self._call("POST", "/v1/agent/sessions", body)

    def acquire(self, name: str, lease_s: float, wait_s: float) -> Json:
        body = {"memory_id": name, "lease_s": lease_s, "wait_s": wait_s}
        return self._call("POST", "/v1/locks", body)

    def renew(self, name: str, fence: int, lease_s: float) -> Json:
        body = {"memory_id": name, "fence": fence, "lease_s": lease_s}
        return self._call("POST", "/v1/locks/renew", body)

    def release(self, name: str, fence: int) -> Json:
        return self._call("POST", "/v1/locks/release", {"memory_id": name, "fence": fence})
