"""How long merges wait until their rows are found by words, and until they are embedded."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Literal

from recall_daemon.metrics import LAG_SECONDS

Stage = Literal["words", "vectors"]

# While there is no model merges wait for ever: the newest so many are enough to tell.
_KEPT = 10_000


class Lags:
    """Safe from any thread. `on_merged` is told of each merge, after it was noted."""

    def __init__(
        self, on_merged: Callable[[], None], clock_s: Callable[[], float] = monotonic
    ) -> None:
        self._on_merged = on_merged
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._merged_at: dict[Stage, deque[float]] = {
            "words": deque(maxlen=_KEPT),
            "vectors": deque(maxlen=_KEPT),
        }

    def merged(self) -> None:
        """Rows were committed at this moment."""
        now = self._clock_s()
        with self._lock:
            for waiting in self._merged_at.values():
                waiting.append(now)
        self._on_merged()

    @contextmanager
    def reaching(self, stage: Stage) -> Iterator[None]:
        """What was merged before the block has reached the stage at its end, unless it raises."""
        with self._lock:
            taken = list(self._merged_at[stage])
            self._merged_at[stage].clear()
        try:
            yield
        except BaseException:
            with self._lock:
                self._merged_at[stage].extendleft(reversed(taken))
            raise
        now = self._clock_s()
        for merged_at in taken:
            LAG_SECONDS.labels(stage).observe(now - merged_at)
