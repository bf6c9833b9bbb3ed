"""Rankings that pages are cut from, kept for whoever asks for the next page."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from recall_daemon.search.fold import fold, join
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
    _rest: list[Ranked] = field(default_factory=list)
    _seen: set[int] = field(default_factory=set)
    _stage: int = 0
    _ceiling: float = float("inf")

    def reach(self, count: int, ranker: Ranker) -> None:
        """Rank deeper until there are `count` hits, or no more to be had."""
        while len(self.groups) < count:
            if self._rest:
                self._group(count, ranker)
            elif self._stage < len(POOL_ROWS):
                self._deepen(ranker)
            else:
                return

    def _deepen(self, ranker: Ranker) -> None:
        stage = ranker.stage(self._stage, self._seen, self._ceiling)
        self._stage = self._stage + 1 if stage.more else len(POOL_ROWS)
        self._seen |= stage.looked_at
        self._ceiling = stage.lowest
        self._rest = stage.ranked
        if self.fold and self.groups and self._rest:
            self._join(ranker)

    def _join(self, ranker: Ranker) -> None:
        """Rows that say what a hit before says are its witnesses, and no hits."""
        alive = self._alive([group[0] for group in self.groups], ranker)
        before = [group for group in self.groups if group[0].row_id in alive]
        heads = [group[0] for group in before]
        joined, self._rest = join(ranker.view, heads, self._rest, ranker.texts)
        for group, more in zip(before, joined, strict=True):
            group.extend(more)

    def _group(self, count: int, ranker: Ranker) -> None:
        if not self.fold:
            self.groups += [[row] for row in self._rest]
            self._rest = []
            return
        alive = self._alive(self._rest, ranker)
        rest = [row for row in self._rest if row.row_id in alive]
        some, self._rest = fold(ranker.view, rest, ranker.texts, count - len(self.groups))
        self.groups += some

    def _alive(self, ranked: list[Ranked], ranker: Ranker) -> set[int]:
        """Rows that are gone since have no place in the index to be compared by."""
        return set(ranker.view.passing([row.row_id for row in ranked], ranker.filters))


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
