"""Asks the daemon that runs what `AgentsHere` answers in-process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from recall_daemon.agents.review_pages import LIMIT as CONFLICTS
from recall_daemon.agents.review_pages import Asked
from recall_daemon.agents.share_rules import RuleAsked
from recall_daemon.agents.sharing import LIMIT as SHARES
from recall_daemon.agents.slices import LIMIT as SLICE

Json = dict[str, Any]


class Call(Protocol):
    """A request to the daemon; raises what `RemoteHub` raises."""

    def __call__(self, method: str, path: str, body: Json | None = None) -> Json: ...


class RemoteAgents:
    """An `AgentsApi` over HTTP."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def agents(self) -> Json:
        return self._call("GET", "/v1/agents")

    def slice(self, agent: str, limit: int = SLICE, cursor: str | None = None) -> Json:
        asked = query_of(limit=limit, cursor=cursor)
        return self._call("GET", f"/v1/agents/{quoted(agent)}/slice{asked}")

    def allocation(self, agent: str) -> Json:
        return self._call("GET", f"/v1/agents/{quoted(agent)}/allocation")

    def statistics(self) -> Json:
        return self._call("GET", "/v1/agents/statistics")

    def coordinator(self) -> Json:
        return self._call("GET", "/v1/agents/coordinator")

    def conflicts(
        self, state: Asked = "open", limit: int = CONFLICTS, cursor: str | None = None
    ) -> Json:
        asked = query_of(state=state, limit=limit, cursor=cursor)
        return self._call("GET", f"/v1/conflicts{asked}")

    def conflict(self, conflict_id: str) -> Json:
        return self._call("GET", f"/v1/conflicts/{quoted(conflict_id)}")

    def resolve(self, conflict_id: str, body: Mapping[str, Any]) -> Json:
        return self._call("POST", f"/v1/conflicts/{quoted(conflict_id)}/resolve", dict(body))

    def undo_resolution(self, conflict_id: str, fence: int | None = None) -> Json:
        return self._call("POST", f"/v1/conflicts/{quoted(conflict_id)}/undo", {"fence": fence})

    def shares(
        self, memory: str | None = None, limit: int = SHARES, before: int | None = None
    ) -> Json:
        return self._call(
            "GET", f"/v1/shares{query_of(memory_id=memory, limit=limit, before=before)}"
        )

    def revoke_share(self, share_id: int) -> Json:
        return self._call("DELETE", f"/v1/shares/{share_id}")

    def share_rules(self) -> Json:
        return self._call("GET", "/v1/share-rules")

    def add_share_rule(self, asked: RuleAsked) -> Json:
        return self._call("POST", "/v1/share-rules", asdict(asked))

    def revoke_share_rule(self, rule_id: int) -> Json:
        return self._call("DELETE", f"/v1/share-rules/{rule_id}")

    def versions(self, memory: str) -> Json:
        return self._call("GET", f"/v1/agent/versions/{quoted(memory)}")

    def fate(self, memory: str) -> Json:
        return self._call("GET", f"/v1/agent/fate/{quoted(memory)}")

    def undelete(self, deletion_id: int, fence: int | None = None) -> Json:
        return self._call("POST", f"/v1/agent/deletions/{deletion_id}/undo", {"fence": fence})

    def locks(self) -> Json:
        return self._call("GET", "/v1/locks")

    def force_release(self, memory: str, reason: str) -> Json:
        body = {"memory_id": memory, "reason": reason}
        return self._call("POST", "/v1/locks/force-release", body)


def quoted(name: str) -> str:
    return quote(name, safe="")


def query_of(**asked: object) -> str:
    given = {name: value for name, value in asked.items() if value is not None}
    return f"?{urlencode(given)}" if given else ""
