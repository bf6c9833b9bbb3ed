"""What the agents have and how they stand, counted and measured in the store, never estimated."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from recall_daemon.agents.actor import Actor
from recall_daemon.agents.config import Agents, AgentSetting
from recall_daemon.agents.read_log import ACTION
from recall_daemon.agents.sight import Grants
from recall_daemon.errors import Forbidden
from recall_daemon.index.filters import Filters
from recall_daemon.store import locks, shares, slices
from recall_daemon.store.moment import one_moment
from recall_daemon.store.store import Store

Json = dict[str, Any]


class Statistics:
    """Blocking; safe from many threads. Read-only; each answer is of one moment."""

    def __init__(
        self, store: Store, agents: Agents, grants: Grants, *, now: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._agents = agents
        self._grants = grants
        self._now = now

    def agents(self, actor: Actor) -> Json:
        """`{agents: [{name, priority, retention_days, conflict_strategy, specialities,
        restricted_categories}]}`: those of the settings, in their order."""
        return {"agents": [_agent(one) for one in self._agents.by_name.values()]}

    def get_memory_allocation(self, actor: Actor, agent_id: str) -> Json:
        """`{agent_id, memories, hot, warm, cold, conflicts, locked, shared, text_bytes,
        metadata_bytes, vectors, vector_bytes, versions, version_bytes, total_bytes}` of what the
        agent wrote, as far as the actor sees it; see `store.slices.allocation`."""
        filters = self._grants.reach(actor).fixed().narrowed(Filters(agents=(agent_id,)))
        counted: dict[str, int] = {}
        if filters is not None:
            with one_moment(self._store) as connection:
                counted = slices.totals(connection, filters, self._now())
                counted |= slices.allocation(connection, filters)
        total = sum(count for name, count in counted.items() if name.endswith("_bytes"))
        return {"agent_id": agent_id, **counted, "total_bytes": total}

    def get_sync_statistics(self, actor: Actor) -> Json:
        """`{counted_at, by_agent, memories, versions, open_conflicts, resolved_conflicts,
        live_shares, live_rules, held_locks, waiting, deletions_to_undo, reads_across_agents}` of
        the hub. For who sees all of it: raises `Forbidden`."""
        _check_everything(actor)
        now = self._now()
        with one_moment(self._store) as connection:
            counted = slices.hub_wide(connection, now, ACTION)
            by_agent = slices.writers(connection)
        return {"counted_at": now.isoformat(), "by_agent": by_agent, **counted}

    def get_coordinator_status(self, actor: Actor) -> Json:
        """`{checked_at, agents, grants_version, global_categories, locks: [{system_id, memory_id,
        holder, fence, expires_at}], waiting: [{system_id, memory_id, holder, waits_until}]}`.

        For who sees all of the hub: raises `Forbidden`.
        """
        _check_everything(actor)
        now = self._now()
        with one_moment(self._store) as connection:
            held, waiting = locks.living(connection, now), locks.waiting(connection, now)
            version = shares.version(connection)
        return {
            "checked_at": now.isoformat(),
            "agents": list(self._agents.by_name),
            "grants_version": version,
            "global_categories": sorted(self._agents.global_categories),
            "locks": [
                {
                    "system_id": lock.system_id,
                    "memory_id": lock.memory_id,
                    "holder": lock.holder,
                    "fence": lock.fence,
                    "expires_at": None if lock.expires_at is None else lock.expires_at.isoformat(),
                }
                for lock in held
            ],
            "waiting": [
                {
                    "system_id": waiter.system_id,
                    "memory_id": waiter.memory_id,
                    "holder": waiter.holder,
                    "waits_until": waiter.waits_until.isoformat(),
                }
                for waiter in waiting
            ],
        }


def _agent(agent: AgentSetting) -> Json:
    return agent.model_dump(mode="json")


def _check_everything(actor: Actor) -> None:
    """An admin may ask for an agent, too."""
    caller = actor.caller
    if not caller.is_admin and not caller.reach.is_everything:
        raise Forbidden("that is of the whole hub", hint="it takes a token that may read all of it")
