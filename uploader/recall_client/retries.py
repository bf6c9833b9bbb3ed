"""How often, and after which waits, a call that got no answer is sent again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Retries:
    """At most `times`. The n-th wait is uniform in [0, min(cap_s, base_s * 2^n)]."""

    times: int = 3
    base_s: float = 0.2
    cap_s: float = 2.0
    uniform: Callable[[float, float], float] = random.uniform
    monotonic: Callable[[], float] = time.monotonic

    def waits_s(self, within_s: float) -> Iterator[float]:
        """One wait for each try after the first; none begins `within_s` after this call."""
        last_s = self.monotonic() + within_s

        def each() -> Iterator[float]:
            for n in range(self.times):
                if self.monotonic() >= last_s:
                    return
                yield self.uniform(0.0, min(self.cap_s, self.base_s * 2**n))

        return each()
