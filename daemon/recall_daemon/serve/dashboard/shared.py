"""An answer that all open pages share: asked for often, computed seldom."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from recall_daemon.access.caller import Caller
from recall_daemon.operations import Json
from recall_daemon.search.reach import Reach

# An answer is kept for so many times what it took: it never costs more than 1/20 of a core.
_PATIENCE = 20


@dataclass(frozen=True)
class _Kept:
    answer: Json
    good_until_s: float


class Shared:
    """Blocking; safe from many threads. Callers who see the same get the same answer.

    An answer is computed again once it is older than `min_age_s`, and than `_PATIENCE` times what
    computing it took; one at a time, the others wait for it.
    """

    def __init__(
        self,
        compute: Callable[[Caller], Json],
        *,
        min_age_s: float,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._compute = compute
        self._min_age_s = min_age_s
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._kept: dict[Reach, _Kept] = {}

    def of(self, caller: Caller) -> Json:
        """The answer for what the caller may see."""
        with self._lock:
            began_s = self._clock_s()
            kept = self._kept.get(caller.reach)
            if kept is not None and began_s < kept.good_until_s:
                return kept.answer
            # What nobody asked for again is let go: tokens come and go.
            self._kept = {k: v for k, v in self._kept.items() if began_s < v.good_until_s}
            answer = self._compute(caller)
            now_s = self._clock_s()
            worth_s = max(self._min_age_s, _PATIENCE * (now_s - began_s))
            self._kept[caller.reach] = _Kept(answer, now_s + worth_s)
            return answer
