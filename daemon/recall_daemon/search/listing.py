"""Rankings that pages are cut from, kept for whoever asks for the next page."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from recall_daemon.search.fold import keys
from recall_daemon.search.rank import POOL_ROWS, Ranked, Ranker

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
    _seen: set[int] = field(default_factory=set)
    _stage: int = 0
    _ceiling: float = float("inf")

    def reach(self, count: int, ranker: Ranker) -> None:
        """Rank deeper until there are `count` hits, or no more to be had."""
        while len(self.groups) < count and self._stage < len(POOL_ROWS):
            stage = ranker.stage(self._stage, self._seen, self._ceiling)
            self._stage = self._stage + 1 if stage.more else len(POOL_ROWS)
            self._seen |= stage.looked_at
            self._ceiling = stage.lowest
            self._take(ranker, stage.ranked)

    def _take(self, ranker: Ranker, ranked: list[Ranked]) -> None:
        """Rows that say what a hit before says are its witnesses, and no hits."""
        if not self.fold:
            self.groups += [[row] for row in ranked]
            return
        for row, key in zip(ranked, keys(ranker.view, ranked), strict=True):
            group = self._group_of.setdefault(key, [])
            if not group:
                self.groups.append(group)
            group.append(row)


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
