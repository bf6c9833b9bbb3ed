"""Who waits for locks in this process, and when each looks again.

Whoever waits sleeps until there is something to be had: a release wakes the first of the line, and
without one it looks when the lease runs out; those behind it look when the first gives up.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from recall_daemon.store.locks import Identity, Standing


class Place:
    """One request that waits. To be used in the event loop that it was made in."""

    def __init__(self, name: Identity, holder: str) -> None:
        self.name = name
        self.holder = holder
        self._loop = asyncio.get_running_loop()
        self._moved = asyncio.Event()
        self._look_at: datetime | None = None

    def look(self) -> None:
        """Before the line is looked at: what is told from now on counts."""
        self._look_at = None
        self._moved.clear()

    def tell(self, look_at: datetime) -> None:
        """Have it look at that time, or sooner. From any thread."""
        with contextlib.suppress(RuntimeError):  # the loop has closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._told, look_at)

    def _told(self, look_at: datetime) -> None:
        if self._look_at is None or look_at < self._look_at:
            self._look_at = look_at
            self._moved.set()

    async def sleep(self, now: Callable[[], datetime], ends: float) -> bool:
        """Until it is time to look again; False where the loop's clock comes to `ends` first."""
        while (left_s := ends - self._loop.time()) > 0:
            wait_s = left_s
            if self._look_at is not None:
                wait_s = min(left_s, (self._look_at - now()).total_seconds())
            if wait_s <= 0:
                return True
            self._moved.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._moved.wait(), wait_s)
        return False


class Waits:
    """The places of this process. Safe from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._places: dict[Identity, list[Place]] = {}

    @contextmanager
    def place(self, name: Identity, holder: str) -> Iterator[Place]:
        place = Place(name, holder)
        with self._lock:
            self._places.setdefault(name, []).append(place)
        try:
            yield place
        finally:
            with self._lock:
                self._places[name].remove(place)
                if not self._places[name]:
                    del self._places[name]

    def is_last(self, place: Place) -> bool:
        """Whether no other request of its holder waits for the same."""
        with self._lock:
            others = self._places.get(place.name, ())
            return all(one is place or one.holder != place.holder for one in others)

    def tell(self, name: Identity, stands: Standing, now: datetime) -> None:
        """How it stands with a memory since the last commit."""
        held = stands.held(now)
        free_at = now if held is None or held.expires_at is None else held.expires_at
        first = stands.line[0] if stands.line else None
        for place in self._of(name):
            is_first = first is None or first.holder == place.holder
            place.tell(free_at if is_first or first is None else max(free_at, first.waits_until))

    def tell_all(self, now: datetime) -> None:
        """Have everybody look now."""
        with self._lock:
            names = list(self._places)
        for name in names:
            for place in self._of(name):
                place.tell(now)

    def _of(self, name: Identity) -> list[Place]:
        with self._lock:
            return list(self._places.get(name, ()))
