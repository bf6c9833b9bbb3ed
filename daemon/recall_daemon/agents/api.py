"""What the command line asks of the agents' side: of a store that this process holds, or of the
daemon that runs (`agents.remote`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from recall_daemon.access.caller import LOCAL
from recall_daemon.agents.actor import Actor
from recall_daemon.agents.decisions import Decision
from recall_daemon.agents.review_pages import LIMIT as CONFLICTS
from recall_daemon.agents.review_pages import Asked, conflict_page
from recall_daemon.agents.share_rules import RuleAsked
from recall_daemon.agents.shared import Shared
from recall_daemon.agents.sharing import LIMIT as SHARES
from recall_daemon.agents.slices import LIMIT as SLICE

Json = dict[str, Any]


class AgentsApi(Protocol):
    """Each as the route of that name answers it."""

    def agents(self) -> Json: ...

    def slice(self, agent: str, limit: int = SLICE, cursor: str | None = None) -> Json: ...

    def allocation(self, agent: str) -> Json: ...

    def statistics(self) -> Json: ...

    def coordinator(self) -> Json: ...

    def conflicts(
        self, state: Asked = "open", limit: int = CONFLICTS, cursor: str | None = None
    ) -> Json: ...

    def conflict(self, conflict_id: str) -> Json: ...

    def resolve(self, conflict_id: str, body: Mapping[str, Any]) -> Json:
        """`body`: `{strategy | choose | content, fence?}`."""
        ...

    def undo_resolution(self, conflict_id: str, fence: int | None = None) -> Json: ...

    def shares(
        self, memory: str | None = None, limit: int = SHARES, before: int | None = None
    ) -> Json: ...

    def revoke_share(self, share_id: int) -> Json: ...

    def share_rules(self) -> Json: ...

    def add_share_rule(self, asked: RuleAsked) -> Json: ...

    def revoke_share_rule(self, rule_id: int) -> Json: ...

    def versions(self, memory: str) -> Json: ...

    def fate(self, memory: str) -> Json: ...

    def undelete(self, deletion_id: int, fence: int | None = None) -> Json: ...

    def locks(self) -> Json: ...

    def force_release(self, memory: str, reason: str) -> Json: ...


class AgentsHere:
    """An `AgentsApi` on an open store, for whoever may do everything."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._actor = Actor(LOCAL)

    def agents(self) -> Json:
        return self._shared.statistics.agents(self._actor)

    def slice(self, agent: str, limit: int = SLICE, cursor: str | None = None) -> Json:
        return self._shared.slices.get_agent_memory_slice(
            self._actor, agent, limit=limit, cursor=cursor
        )

    def allocation(self, agent: str) -> Json:
        return self._shared.statistics.get_memory_allocation(self._actor, agent)

    def statistics(self) -> Json:
        return self._shared.statistics.get_sync_statistics(self._actor)

    def coordinator(self) -> Json:
        return self._shared.statistics.get_coordinator_status(self._actor)

    def conflicts(
        self, state: Asked = "open", limit: int = CONFLICTS, cursor: str | None = None
    ) -> Json:
        return conflict_page(self._shared.review, self._actor, state, limit, cursor)

    def conflict(self, conflict_id: str) -> Json:
        return self._shared.review.conflict(self._actor, conflict_id)

    def resolve(self, conflict_id: str, body: Mapping[str, Any]) -> Json:
        decision = Decision(body.get("strategy"), body.get("choose"), body.get("content"))
        return self._shared.review.resolve(
            self._actor, conflict_id, decision, fence=body.get("fence")
        )

    def undo_resolution(self, conflict_id: str, fence: int | None = None) -> Json:
        return self._shared.review.undo(self._actor, conflict_id, fence=fence)

    def shares(
        self, memory: str | None = None, limit: int = SHARES, before: int | None = None
    ) -> Json:
        return self._shared.sharing.list(self._actor, memory, limit=limit, before=before)

    def revoke_share(self, share_id: int) -> Json:
        return self._shared.sharing.revoke(self._actor, share_id)

    def share_rules(self) -> Json:
        return self._shared.share_rules.list(self._actor)

    def add_share_rule(self, asked: RuleAsked) -> Json:
        return self._shared.share_rules.add(self._actor, asked)

    def revoke_share_rule(self, rule_id: int) -> Json:
        return self._shared.share_rules.revoke(self._actor, rule_id)

    def versions(self, memory: str) -> Json:
        return self._shared.review.versions(self._actor, memory)

    def fate(self, memory: str) -> Json:
        return self._shared.fates.fate(self._actor, memory)

    def undelete(self, deletion_id: int, fence: int | None = None) -> Json:
        return self._shared.deleting.undo(self._actor, deletion_id, fence=fence)

    def locks(self) -> Json:
        return self._shared.locks.listed(self._actor)

    def force_release(self, memory: str, reason: str) -> Json:
        return self._shared.locks.force_release(LOCAL, memory, reason)
