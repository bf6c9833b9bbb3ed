"""The watchdog's beat: sent only while event loop, store's writer and index thread get on.

A hub that hangs is then ended by systemd and started anew, which loses nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future

import structlog

from recall_daemon.errors import StoreFailed
from recall_daemon.loop import Sleep, every
from recall_daemon.service import notify
from recall_daemon.store.store import Store

log = structlog.get_logger(__name__)

BEATS = 2  # within the watchdog's time


class Writer:
    """Whether the store's writer takes work: it is asked at a beat and has answered by the next.

    One that writes the whole store anew takes as long as that does, and is not asked.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._asked: Future[None] | None = None

    def hangs(self) -> bool:
        if self._asked is not None and not self._asked.done():
            return not self._store.is_rewriting
        try:
            self._asked = self._store.submit(lambda _: None)
        except StoreFailed:
            self._asked = None  # it is being closed
        return False


class Follower:
    """Whether the thread that follows the store gets on. `at` answers None while it rests, else
    something that changes with every step."""

    def __init__(self, at: Callable[[], object]) -> None:
        self._at = at
        self._before: object = None

    def hangs(self) -> bool:
        at, before = self._at(), self._before
        self._before = at
        return at is not None and at == before


class Heartbeat:
    """Beats for ever on the event loop, twice within the watchdog's time; at once done without one.

    `says` is the hub's state in a few words. Until `ready` each beat also asks for the time to
    start in: an index may have to be made anew.
    """

    def __init__(
        self, writer: Writer, follower: Follower, *, says: Callable[[], str], sleep: Sleep
    ) -> None:
        self._parts = {"store's writer": writer.hangs, "index": follower.hangs}
        self._says = says
        self._sleep = sleep
        self.ready = asyncio.Event()

    async def run(self) -> None:
        limit_s = notify.watchdog_s()
        if limit_s is None:
            return

        async def beat() -> None:
            self._beat(limit_s)

        await every(limit_s / BEATS, beat, sleep=self._sleep)

    def _beat(self, limit_s: float) -> None:
        hanging = [name for name, hangs in self._parts.items() if hangs()]
        if hanging:
            log.error("hub.hangs", parts=hanging)
            return
        words = [notify.ALIVE, notify.status(self._says())]
        if not self.ready.is_set():
            words.append(notify.more_time(limit_s))
        notify.notify(*words)
