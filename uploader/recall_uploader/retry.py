"""Try a bucket call again, a bounded number of times, with exponential backoff and full jitter."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from recall_uploader.deadline import Deadline, OutOfTime
from recall_wire.errors import Throttled, TransientError

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Retry:
    """Only a `TransientError` is tried again; the last one is raised as it came.

    The n-th wait is uniform in [0, min(cap_s, base_s * 2^n)], and at least what the endpoint
    asked for, bounded by `cap_s`.
    """

    retries: int = 4
    base_s: float = 0.5
    cap_s: float = 20.0
    sleep: Callable[[float], None] = time.sleep
    uniform: Callable[[float, float], float] = random.uniform

    def __call__(self, call: Callable[[], _T]) -> _T:
        for attempt in range(self.retries):
            try:
                return call()
            except TransientError as error:
                try:
                    self.sleep(self._wait_s(attempt, error))
                except OutOfTime:
                    raise error from None  # which says more than that the time is up
        return call()

    def bounded(self, deadline: Deadline) -> Retry:
        """The same, but it gives up where a wait would pass the deadline."""
        return replace(self, sleep=deadline.bounding(self.sleep))

    def once(self) -> Retry:
        return replace(self, retries=0)

    def _wait_s(self, attempt: int, error: TransientError) -> float:
        wait_s = self.uniform(0.0, min(self.cap_s, self.base_s * 2**attempt))
        asked_s = error.retry_after_s if isinstance(error, Throttled) else None
        return min(self.cap_s, max(wait_s, asked_s or 0.0))
