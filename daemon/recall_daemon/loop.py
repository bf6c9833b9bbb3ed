"""The clockwork: a poll every interval without drift, and `once`, which runs until all is done."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import structlog

from recall_daemon.errors import StoreBroken
from recall_daemon.ingest.pipeline import PollReport
from recall_wire.errors import RecallError, TransientError

log = structlog.get_logger(__name__)

Poll = Callable[[], Awaitable[PollReport]]
Sleep = Callable[[float], Awaitable[None]]

# `once` gives up after this many polls in a row that brought nothing forward.
ONCE_TRIES = 4
ONCE_BACKOFF_S = 0.5


async def every(interval_s: float, step: Callable[[], Awaitable[object]], *, sleep: Sleep) -> None:
    """Run `step` at start and then at each multiple of `interval_s`, for ever.

    A step that takes longer than the interval skips the beats it missed: no drift, no pile.
    """
    clock = asyncio.get_running_loop().time
    start = clock()
    while True:
        await step()
        beats = int((clock() - start) / interval_s) + 1
        await sleep(start + beats * interval_s - clock())


class _Changed(Exception):
    """The interval is another one now."""


class Beat:
    """`every`, whose interval can be changed while it runs; None: no beats.

    `delay_s` is asked, with the interval, how long to wait for the first beat.
    """

    def __init__(
        self,
        interval_s: float | None,
        step: Callable[[], Awaitable[object]],
        *,
        sleep: Sleep,
        delay_s: Callable[[float], Awaitable[float]] | None = None,
    ) -> None:
        self._interval_s = interval_s
        self._step = step
        self._sleep = sleep
        self._delay_s = delay_s
        self._changed = asyncio.Event()

    def change(self, interval_s: float | None) -> None:
        """Begin anew with another interval, once the step under way has ended. From the loop."""
        if interval_s != self._interval_s:
            self._interval_s = interval_s
            self._changed.set()

    async def run(self) -> None:
        """Beat for ever."""
        while True:
            self._changed.clear()
            try:
                await self._run(self._interval_s)
            except _Changed:
                continue

    async def _run(self, interval_s: float | None) -> None:
        if interval_s is None:
            await self._changed.wait()
            return
        if self._delay_s is not None:
            await self._pause(await self._delay_s(interval_s))
        await every(interval_s, self._step, sleep=self._pause)

    async def _pause(self, seconds: float) -> None:
        async with asyncio.TaskGroup() as group:
            waiting = [
                group.create_task(self._nap(seconds)),
                group.create_task(self._changed.wait()),
            ]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()
        if self._changed.is_set():
            raise _Changed

    async def _nap(self, seconds: float) -> None:
        await self._sleep(seconds)


async def poll_safely(poll: Poll) -> PollReport:
    """A poll whose failure is logged and reported: the next beat tries again.

    Raises `StoreBroken`, after which no other beat can do better.
    """
    try:
        return await poll()
    except StoreBroken:
        raise
    except RecallError as error:
        log.warning("poll.failed", error=str(error))
        return PollReport(pending=1, errors=[str(error)], failed=True)


async def until_done(
    poll: Poll, finish: Callable[[], Awaitable[int]], *, sleep: Sleep
) -> PollReport:
    """Poll until a poll finds nothing and `finish` (index, embed) leaves no backlog.

    Returns the sum of all polls; its `pending` is what could not be done after `ONCE_TRIES` polls
    in a row without progress. Raises at once what no other try can mend.
    """
    total = PollReport()
    idle = 0
    while True:
        report, backlog = await _round(poll, finish)
        waiting = report.pending + backlog
        total.merged += report.merged
        total.changed_rows += report.changed_rows
        total.quarantined += report.quarantined
        total.pending, total.errors = waiting, report.errors
        moved = report.merged + report.quarantined
        if not moved and not waiting:
            return total
        idle = 0 if moved else idle + 1
        if idle >= ONCE_TRIES:
            return total
        if waiting and not moved:
            await sleep(random.uniform(0, ONCE_BACKOFF_S * 2**idle))


async def _round(poll: Poll, finish: Callable[[], Awaitable[int]]) -> tuple[PollReport, int]:
    """One poll and what follows it; a passing failure counts as one thing left to do."""
    report = PollReport()
    try:
        report = await poll()
        return report, await finish()
    except TransientError as error:
        log.warning("round.failed", error=str(error))
        report.errors.append(str(error))
        return report, 1
