"""What the pages read and do, put together once for a hub."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from recall_daemon.agents.actor import holder_name
from recall_daemon.agents.shared import Shared as Agents
from recall_daemon.jobs import Jobs
from recall_daemon.memory.read import Memories
from recall_daemon.operations import Json, Operations
from recall_daemon.serve.dashboard.rates import Rates
from recall_daemon.serve.dashboard.shared import Shared
from recall_daemon.store import history, locks, slices
from recall_daemon.store.store import Store

if TYPE_CHECKING:
    from recall_daemon.app import Hub

STATUS_MIN_AGE_S = 2.0
TIERS_MIN_AGE_S = 5.0


class Dashboard:
    """The hub behind the pages. `status` and `tiers` are shared by all who may see the same."""

    def __init__(
        self,
        hub: Operations,
        store: Store,
        memories: Memories,
        *,
        agents: Agents,
        jobs: Jobs,
        rates: Rates,
        now: Callable[[], datetime],
    ) -> None:
        self.hub = hub
        self.agents = agents
        self._now = now
        self.memories = memories
        self.jobs = jobs
        self.rates = rates
        self._store = store
        self.status = Shared(
            lambda caller: hub.seen_by(caller).status(), min_age_s=STATUS_MIN_AGE_S
        )
        self.tiers = Shared(lambda caller: hub.seen_by(caller).tiers(), min_age_s=TIERS_MIN_AGE_S)

    @classmethod
    def of(cls, hub: Hub) -> Dashboard:
        core = hub.core
        rates = Rates(
            core.store,
            core.embedder.space_id,
            interval_s=core.settings.poll_interval_s,
            now=core.now,
        )
        return cls(
            core.operations,
            core.store,
            core.memories,
            agents=hub.shared,
            jobs=hub.jobs,
            rates=rates,
            now=core.now,
        )

    def stands(self, system_id: str, memory_id: str) -> Json:
        """`{lock: {holder, expires_at} or None, has_conflicts}` of a memory that may be seen.
        Blocking."""
        name, now = (system_id, memory_id), self._now()
        with self._store.read() as connection:
            lock = locks.find_all(connection, [name]).get(name)
            in_conflict = name in slices.in_conflict(connection, [name])
        held = None
        if lock is not None and lock.lives(now) and lock.expires_at is not None:
            expires_at = lock.expires_at.isoformat()
            held = {"holder": holder_name(lock.holder or ""), "expires_at": expires_at}
        return {"lock": held, "has_conflicts": in_conflict}

    def acts_on(self, system_id: str, memory_id: str) -> list[Json]:
        """What the audit log has on a memory, newest first. Blocking."""
        with self._store.read() as connection:
            acts = history.acts_on(connection, system_id, memory_id)
        return [
            {"at": act.happened_at.isoformat(), "actor": act.actor, "action": act.action}
            for act in acts
        ]
