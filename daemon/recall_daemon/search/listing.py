"""Rankings that pages are cut from, kept for whoever asks for the next page."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from recall_daemon.search.fold import keys
from recall_daemon.search.rank import POOL_ROWS, Ranked, Ranker, Stage

KEPT = 32
KEPT_S = 600.0


@dataclass(slots=True)
class Listing:
    """The hits of a search as far as they were asked for: groups of rows that are one hit.

    Grows at its end only, so pages of one listing neither overlap nor skip, whatever comes in
    meanwhile. Holds row ids and scores, no texts. One thread at a time: hold `lock`.
    """

    fold: bool
    groups: list[list[Ranked]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    _group_of: dict[Hashable, list[Ranked]] = field(default_factory=dict)
    _rest: deque[tuple[Hashable, Stage, list[int]]] = field(default_factory=deque)
    _seen: set[int] = field(default_factory=set)
    _stages: int = 0
    _ceiling: float = float("inf")

    def reach(self, count: int, ranker: Ranker) -> None:
        """Rank deeper until there are `count` hits, or no more to be had."""
        while len(self.groups) < count:
            if self._rest:
                key, stage, numbers = self._rest.popleft()
                self._group_of[key] = [stage.row(number) for number in numbers]
                self.groups.append(self._group_of[key])
            elif self._stages < len(POOL_ROWS):
                self._deepen(ranker)
            else:
                return

    def _deepen(self, ranker: Ranker) -> None:
        """Rows that say what a hit before says are its witnesses, and no hits."""
        stage = ranker.stage(self._stages, self._seen, self._ceiling)
        self._stages = self._stages + 1 if stage.more else len(POOL_ROWS)
        self._seen |= stage.looked_at
        self._ceiling = stage.lowest
        own = keys(ranker.view, stage) if self.fold else stage.row_ids.tolist()
        numbers: dict[Hashable, list[int]] = {}
        for number, key in enumerate(own):
            if key in self._group_of:
                self._group_of[key].append(stage.row(number))
            else:
                numbers.setdefault(key, []).append(number)
        self._rest.extend((key, stage, alike) for key, alike in numbers.items())


class Listings:
    """The last listings. Safe from many threads."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[float, Listing]] = OrderedDict()

    def get(self, key: Hashable, *, anew: bool, fold: bool) -> Listing:
        """The listing of this search if it is at most `KEPT_S` old; `anew`: always a new one."""
        now = self._clock_s()
        with self._lock:
            made_at, listing = self._kept.get(key, (0.0, None))
            if listing is None or anew or now - made_at > KEPT_S:
                made_at, listing = now, Listing(fold)
            self._kept[key] = (made_at, listing)
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return listing
