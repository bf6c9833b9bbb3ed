"""Rates over time: a bounded ring in memory, one sample a poll."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from starlette.concurrency import run_in_threadpool

from recall_daemon.loop import Sleep, every
from recall_daemon.store.store import Store
from recall_daemon.store.totals import Totals, last_change, totals
from recall_wire.errors import TransientError

log = structlog.get_logger(__name__)

# Six hours of polls at the default interval; 60 KB.
SAMPLES_MAX = 720


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows merged and texts embedded since the sample before, and texts that wait."""

    at: datetime
    rows_per_s: float
    texts_per_s: float
    backlog: int


class Rates:
    """Reads the store once a poll, and only where something changed since."""

    def __init__(
        self,
        store: Store,
        space_id: Callable[[], str | None],
        *,
        interval_s: float,
        now: Callable[[], datetime],
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._store = store
        self._space_id = space_id
        self._interval_s = interval_s
        self._now = now
        self._sleep = sleep
        self._before: tuple[datetime, Totals] | None = None
        self._ring: deque[Sample] = deque(maxlen=SAMPLES_MAX)

    @property
    def samples(self) -> Sequence[Sample]:
        """Oldest first."""
        return tuple(self._ring)

    async def run(self) -> None:
        """Take samples for ever."""
        await every(self._interval_s, self._step, sleep=self._sleep)

    async def _step(self) -> None:
        try:
            await run_in_threadpool(self.sample)
        except TransientError as error:
            log.warning("rates.not_sampled", error=str(error))

    def sample(self) -> None:
        """Take a sample now. Blocking."""
        at, found = self._now(), self._totals()
        before, self._before = self._before, (at, found)
        if before is None:
            return
        since_s = (at - before[0]).total_seconds()
        if since_s <= 0:  # the clock was set back
            return
        rows, texts = found.rows - before[1].rows, found.texts - before[1].texts
        self._ring.append(
            Sample(at, max(rows, 0) / since_s, max(texts, 0) / since_s, found.backlog)
        )

    def _totals(self) -> Totals:
        before = self._before
        with self._store.read() as connection:
            if before is not None and last_change(connection) == before[1].change_no:
                return before[1]
            return totals(connection, self._space_id() or "")
