"""Wakes those who follow the events, and hands each what it has not seen.

Every follower has its place in the numbers and nothing else: no queue, no thread. What happened
lately is read once for all of them; who is further behind reads from the store.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import structlog
from starlette.concurrency import run_in_threadpool

from recall_daemon.errors import TooManySubscribers
from recall_daemon.metrics import SUBSCRIBERS
from recall_daemon.store import events
from recall_daemon.store.events import Event
from recall_daemon.store.store import Store
from recall_wire.errors import RecallError

log = structlog.get_logger(__name__)

HEARTBEAT_S = 15.0
SUBSCRIBERS_MAX = 2_000
_RECENT = 1_000
_BATCH = 100


@dataclass(frozen=True)
class News:
    """What a follower gets at once; nothing as a sign of life.

    `lost`: events between its place and these are no longer kept, or the hub was restored to
    before its place.
    """

    events: Sequence[Event]
    at: int
    lost: bool = False


class Subscribers:
    """Belongs to the loop of its first follower. `close` ends every follower at once."""

    def __init__(self, store: Store, *, heartbeat_s: float = HEARTBEAT_S) -> None:
        self._store = store
        self._heartbeat_s = heartbeat_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._recent: deque[Event] = deque(maxlen=_RECENT)
        self._newest = 0
        self._changed = asyncio.Event()
        self._starting = asyncio.Lock()
        self._reading: asyncio.Task[None] | None = None
        self._is_due = False
        self._open = 0
        self._closed = False
        store.on_commit(self._committed)

    def close(self) -> None:
        """Idempotent; from the loop's thread."""
        self._closed = True
        self._changed.set()

    def check_room(self) -> None:
        """Raises `TooManySubscribers`."""
        if self._open >= SUBSCRIBERS_MAX:
            raise TooManySubscribers(
                f"{SUBSCRIBERS_MAX} streams of events are open already",
                hint="close one, or ask GET /v1/events/recent",
            )

    async def follow(self, after: int | None) -> AsyncIterator[News]:
        """What happens after that number, for ever; None: from now on.

        News without events come every `heartbeat_s` while nothing happens, and first of all.
        """
        async with self._subscribed():
            at = self._newest if after is None else after
            lost = at > self._newest
            at = min(at, self._newest)
            yield News((), at, lost)
            while not self._closed:
                changed = self._changed  # taken before looking: nothing falls between
                batch = await self._after(at)
                if batch:
                    lost = batch[0].event_id > at + 1  # numbers are dense
                    at = batch[-1].event_id
                    yield News(batch, at, lost)
                elif not await _set_within(changed, self._heartbeat_s):
                    yield News((), at)

    @contextlib.asynccontextmanager
    async def _subscribed(self) -> AsyncIterator[None]:
        self._open += 1
        SUBSCRIBERS.set(self._open)
        try:
            async with self._starting:
                await self._start()
            yield
        finally:
            self._open -= 1
            SUBSCRIBERS.set(self._open)
            if not self._open:
                self._loop = None

    async def _start(self) -> None:
        """While nobody follows, nobody reads: begin where the store is."""
        if self._loop is not None:
            return
        if self._reading is not None:
            await self._reading
        # The threads of the routes: those of the loop are busy with merges for minutes.
        self._newest = await run_in_threadpool(self._last)
        self._recent.clear()
        self._loop = asyncio.get_running_loop()
        self._look()  # for what was committed meanwhile

    def _last(self) -> int:
        with self._store.read() as connection:
            return events.last(connection)

    def _committed(self) -> None:
        """On the writer's thread, after each commit: it may have written an event."""
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has closed
                loop.call_soon_threadsafe(self._look)

    def _look(self) -> None:
        self._is_due = True
        if self._reading is None or self._reading.done():
            self._reading = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        try:
            while self._is_due:
                self._is_due = False
                while batch := await run_in_threadpool(self._stored, self._newest):
                    self._recent.extend(batch)
                    self._newest = batch[-1].event_id
                    changed, self._changed = self._changed, asyncio.Event()
                    changed.set()
        except RecallError as error:
            log.warning("events.not_read", error=str(error))

    async def _after(self, at: int) -> Sequence[Event]:
        if at >= self._newest:
            return ()
        if self._recent and self._recent[0].event_id <= at + 1:
            return self._remembered(at)
        return await run_in_threadpool(self._stored, at)

    def _remembered(self, at: int) -> list[Event]:
        """From the newest back: a follower that keeps up looks at no more than is new to it."""
        found = []
        for event in reversed(self._recent):
            if event.event_id <= at:
                break
            found.append(event)
        return found[::-1]

    def _stored(self, at: int) -> list[Event]:
        with self._store.look_up() as connection:
            return events.after(connection, at, _BATCH)


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
