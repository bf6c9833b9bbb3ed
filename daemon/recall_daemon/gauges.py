"""Sets the gauges: what there is, looked at once a poll and never by a scrape."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from recall_daemon import metrics
from recall_daemon.app import Hub
from recall_daemon.core import Core
from recall_daemon.store import jobs, measures
from recall_daemon.store.aside import log_of
from recall_wire.errors import TransientError

log = structlog.get_logger(__name__)

_TIERS = ("hot", "warm", "cold")


class Gauges:
    """`ready` answers as `/readyz` does."""

    def __init__(self, hub: Hub, ready: Callable[[], Mapping[str, Any]]) -> None:
        self._hub = hub
        self._ready = ready
        self._measured: tuple[int, str] | None = None

    def refresh(self) -> None:
        """Blocking. The backlog is counted anew only where something was written since."""
        core = self._hub.core
        try:
            self._fleet(core)
            self._rows(core)
        except (TransientError, OSError) as error:
            log.warning("metrics.not_measured", error=str(error))
        counts = core.index.counts
        metrics.FAISS_INDEX_SIZE.set(counts.vectors)
        metrics.INDEX_ROWS.set(counts.rows)
        for part, reason in self._ready()["parts"].items():
            metrics.DEGRADED.labels(part).set(not reason.startswith("ok"))

    def _fleet(self, core: Core) -> None:
        with core.store.read() as connection:
            fleet = measures.fleet(connection)
            runs = jobs.latest(connection)
        since, now = fleet.behind_since, core.now()
        metrics.SYSTEMS.set(fleet.systems)
        metrics.CLASHES.set(fleet.clashes)
        metrics.QUARANTINED.set(fleet.quarantined)
        metrics.MISSING.set(fleet.missing)
        metrics.LAG_MAX_SECONDS.set(max((now - since).total_seconds(), 0.0) if since else 0.0)
        for kind, run in runs.items():
            if run.state == "done" and run.finished_at is not None:
                metrics.JOB_DONE_AT.labels(kind).set(run.finished_at.timestamp())
        _disk(core)

    def _rows(self, core: Core) -> None:
        with core.store.read() as connection:
            rows = measures.rows_by_tier(connection)
        for tier in _TIERS:
            metrics.ROWS.labels(tier).set(rows.get(tier, 0))
        space_id = core.embedder.space_id() or ""
        moment = (core.feed.last_change(), space_id)
        if moment != self._measured:
            metrics.BACKLOG.set(self._hub.backlog.size(space_id))
            self._measured = moment


def _disk(core: Core) -> None:
    path = core.store.path
    log_path = log_of(path)
    metrics.DISK_FREE_BYTES.set(shutil.disk_usage(path.parent).free)
    log_bytes = log_path.stat().st_size if log_path.exists() else 0
    metrics.STORE_BYTES.set(path.stat().st_size + log_bytes)
