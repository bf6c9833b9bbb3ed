"""Rankings that pages are cut from, kept for whoever asks for the next page."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import numpy as np

from recall_daemon.search.fold import Sayings, leaders, sayings
from recall_daemon.search.pool import Places
from recall_daemon.search.rank import Ranked, Ranker, Stage

KEPT = 32
KEPT_S = 600.0


@dataclass(slots=True)
class Listing:
    """The hits of a search as far as they were asked for: groups of rows that are one hit.

    Grows at its end only, so pages of one listing neither overlap nor skip, whatever comes in
    meanwhile. Holds row ids and scores, no texts. One thread at a time: hold `lock`.
    """

    fold: bool
    lock: threading.Lock = field(default_factory=threading.Lock)
    # The parts of the ranking one after the other: `_leads` says for each row of theirs which is
    # the first of its hit, `_first` which rows are, best hit first.
    _stages: list[Stage] = field(default_factory=list)
    _sayings: list[Sayings] = field(default_factory=list)
    _leads: Places = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    _first: Places = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    _seen: set[int] = field(default_factory=set)
    _ranked: int = 0
    _ceiling: float = float("inf")

    def __len__(self) -> int:
        return len(self._first)

    def hits(self, start: int, stop: int) -> list[list[Ranked]]:
        """The rows of each hit, best first."""
        return [
            [self._row(at) for at in np.flatnonzero(self._leads == first).tolist()]
            for first in self._first[start:stop].tolist()
        ]

    def _row(self, at: int) -> Ranked:
        for stage in self._stages:
            if at < len(stage.row_ids):
                return stage.row(at)
            at -= len(stage.row_ids)
        raise IndexError(at)

    def reach(self, count: int, ranker: Ranker) -> None:
        """Rank deeper until there are `count` hits, or no more to be had."""
        while len(self) < count and self._ranked < ranker.stages:
            stage = ranker.stage(self._ranked, self._seen, self._ceiling)
            self._ranked = self._ranked + 1 if stage.more else ranker.stages
            self._seen |= stage.looked_at
            self._ceiling = stage.lowest
            self._take(stage, ranker)

    def _take(self, stage: Stage, ranker: Ranker) -> None:
        """Rows that say what a hit before says are its witnesses, and no hits."""
        self._stages.append(stage)
        rows = np.arange(sum(len(stage.row_ids) for stage in self._stages))
        self._leads = rows
        if self.fold:
            self._sayings.append(sayings(ranker.view, stage))
            self._leads = leaders(self._sayings)
        self._first = np.flatnonzero(self._leads == rows)


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
