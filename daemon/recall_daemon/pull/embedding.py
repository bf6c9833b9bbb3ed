"""Waits for the texts of pulled memories to be embedded, and says how many were."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable

from recall_daemon.backlog import Backlog
from recall_daemon.embed.base import Embedder
from recall_daemon.store import vectors
from recall_daemon.store.store import Store
from recall_wire.records import text_hash

# The backlog is worked off oldest first: a caller does not wait for that of a whole bucket.
WAIT_S = 60.0


class Embedding:
    """`embedder` loads the model, None where there is none; `follow` brings the index up to date.

    Blocking; safe from many threads.
    """

    def __init__(
        self,
        store: Store,
        backlog: Backlog,
        embedder: Callable[[], Embedder | None],
        *,
        space_id: Callable[[], str | None],
        follow: Callable[[], object],
        wait_s: float = WAIT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._backlog = backlog
        self._embedder = embedder
        self._space_id = space_id
        self._follow = follow
        self._wait_s = wait_s
        self._clock = clock
        self._stopped = threading.Event()

    def lacking(self, texts: Iterable[str | None]) -> set[str]:
        """The hashes of those texts that have no vector yet."""
        hashes = {name for name in map(text_hash, texts) if name is not None}
        return hashes - self._embedded(self._space_id(), hashes)

    def embed(self, hashes: Collection[str]) -> int:
        """Work the backlog off until these are embedded, for a while; how many of them are."""
        embedder = self._embedder() if hashes else None
        if embedder is None:
            return 0
        space_id = embedder.space.space_id
        until = self._clock() + self._wait_s

        def is_enough() -> bool:
            late = self._stopped.is_set() or self._clock() > until
            return late or len(self._embedded(space_id, hashes)) == len(hashes)

        self._backlog.drain(embedder, stop=is_enough)
        self._follow()
        return len(self._embedded(space_id, hashes))

    def stop(self) -> None:
        """Wait no more."""
        self._stopped.set()

    def _embedded(self, space_id: str | None, hashes: Collection[str]) -> set[str]:
        if space_id is None or not hashes:
            return set()
        with self._store.read() as connection:
            return vectors.embedded(connection, space_id, hashes)
