"""How often somebody may ask: token buckets in memory."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

# Beyond so many names those that asked least lately are forgotten, and begin with a full bucket.
NAMES_MAX = 10_000


class Rate:
    """`per_minute` for each name, and as many at once after a minute of rest; 0: no limit.

    Used from one event loop.
    """

    def __init__(self, per_minute: int, clock_s: Callable[[], float] = time.monotonic) -> None:
        self.change(per_minute)
        self._clock_s = clock_s
        # What is left of each, and when that was.
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def change(self, per_minute: int) -> None:
        """From now on so many; what somebody has left of before counts up to that."""
        self._per_s = per_minute / 60
        self._most = float(per_minute)

    def wait_s(self, name: str) -> int:
        """Take one: 0 where it may go on, else in how many seconds there is one again."""
        if not self._most:
            return 0
        now = self._clock_s()
        left, since = self._left.get(name, (self._most, now))
        left = min(left + (now - since) * self._per_s, self._most)
        taken = left >= 1
        self._left[name] = (left - 1 if taken else left, now)
        self._left.move_to_end(name)
        while len(self._left) > NAMES_MAX:
            self._left.popitem(last=False)
        return 0 if taken else math.ceil((1 - left) / self._per_s)
