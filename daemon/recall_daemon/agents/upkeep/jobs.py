"""The jobs that keep memories in order: what each does, and how often."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from recall_daemon.agents.config import Agents
from recall_daemon.agents.far import FarRecords
from recall_daemon.agents.upkeep import consolidation, health, history, promotion, reconcile
from recall_daemon.agents.upkeep import retention as retained
from recall_daemon.agents.upkeep.consolidation import Consolidation
from recall_daemon.agents.upkeep.health import Health
from recall_daemon.agents.upkeep.history import History
from recall_daemon.agents.upkeep.promotion import Promotion
from recall_daemon.agents.upkeep.reconcile import Reconciler
from recall_daemon.agents.upkeep.retention import Retention
from recall_daemon.index.follower import Index
from recall_daemon.jobs import Job
from recall_daemon.store.memories import StoreFeed
from recall_daemon.store.store import Store

# Ages and retention are counted in days.
OFTEN: Final = timedelta(hours=6)
DAILY: Final = timedelta(days=1)
# Below what is told as an event each time (`jobs.TOLD_FROM`).
LOOKS: Final = timedelta(minutes=4)


@dataclass(frozen=True)
class Parts:
    """What the jobs need of the hub.

    `purge`: see `History`; `on_changed` is told after each commit that changes memories.
    """

    store: Store
    index: Index
    feed: StoreFeed
    agents: Agents
    far: FarRecords
    purge: Callable[[int], int]
    version_history: timedelta
    on_changed: Callable[[], None]
    now: Callable[[], datetime]


def upkeep_jobs(parts: Parts) -> list[Job]:
    """One line a kind."""
    store, index, feed, now = parts.store, parts.index, parts.feed, parts.now
    kept = History(store, parts.purge, kept=parts.version_history, now=now)
    consolidating = Consolidation(
        store,
        index,
        follow=lambda: index.apply(feed),
        on_merged=parts.on_changed,
        now=now,
    )
    retaining = Retention(store, parts.agents, parts.far, on_changed=parts.on_changed, now=now)
    return [
        Job(promotion.KIND, OFTEN, Promotion(store, now=now).run),
        Job(consolidation.KIND, DAILY, consolidating.run),
        Job(retained.KIND, OFTEN, retaining.run),
        Job(history.PURGE, OFTEN, kept.purge),
        Job(history.HISTORY, DAILY, kept.prune),
        Job(reconcile.KIND, LOOKS, Reconciler(store, index, feed, parts.agents, now=now).run),
        Job(health.KIND, LOOKS, Health(store, index, now=now).run),
    ]
