"""Rankings that pages are cut from, kept for whoever asks for the next page."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from recall_daemon.index.view import IndexView
from recall_daemon.search.fold import keys
from recall_daemon.search.rank import Ranked, Ranker, Stage

KEPT = 32
KEPT_S = 600.0


# The rows of one hit, best first: each is a row of a part of the ranking.
Group = list[tuple[Stage, int]]


@dataclass(slots=True)
class Listing:
    """The hits of a search as far as they were asked for: groups of rows that are one hit.

    Grows at its end only, so pages of one listing neither overlap nor skip, whatever comes in
    meanwhile. Holds row ids and scores, no texts. One thread at a time: hold `lock`.
    """

    fold: bool
    lock: threading.Lock = field(default_factory=threading.Lock)
    _groups: list[Group] = field(default_factory=list)
    _group_of: dict[Hashable, Group] = field(default_factory=dict)
    _seen: set[int] = field(default_factory=set)
    _stages: int = 0
    _ceiling: float = float("inf")

    def __len__(self) -> int:
        return len(self._groups)

    def hits(self, start: int, stop: int) -> list[list[Ranked]]:
        """The rows of each hit."""
        return [
            [stage.row(number) for stage, number in group] for group in self._groups[start:stop]
        ]

    def reach(self, count: int, ranker: Ranker) -> None:
        """Rank deeper until there are `count` hits, or no more to be had."""
        while len(self._groups) < count and self._stages < ranker.stages:
            stage = ranker.stage(self._stages, self._seen, self._ceiling)
            self._stages = self._stages + 1 if stage.more else ranker.stages
            self._seen |= stage.looked_at
            self._ceiling = stage.lowest
            self._take(stage, ranker.view)

    def _take(self, stage: Stage, view: IndexView) -> None:
        """Rows that say what a hit before says are its witnesses, and no hits."""
        if not self.fold:
            self._groups += [[(stage, number)] for number in range(len(stage.row_ids))]
            return
        for number, own in enumerate(keys(view, stage)):
            known = [key for key in own if key in self._group_of]
            group = self._group_of[known[0]] if known else []
            if not known:
                self._groups.append(group)
            group.append((stage, number))
            if len(known) < len(own):
                for key in own:
                    self._group_of.setdefault(key, group)


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
