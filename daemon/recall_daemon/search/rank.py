"""One ranking of everything that may answer a query, deeper and deeper as it is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np

from recall_daemon.index.columns_view import NO_TIME
from recall_daemon.index.feed import Texts
from recall_daemon.index.filters import CodedFilters, microseconds
from recall_daemon.index.view import IndexView
from recall_daemon.search.asked import Asked
from recall_daemon.search.exact import WORTH, exact
from recall_daemon.search.fuse import Fused, fuse
from recall_daemon.search.pool import Floats, Places, Pool, Vector, gather
from recall_daemon.search.query import SearchRequest
from recall_daemon.search.reach import EVERYTHING, Reach

# Candidates by words and as many by meaning. What a wider pool finds comes after what a narrower
# one had, so the order of a page does not depend on how deep somebody reads.
POOL_ROWS = (50, 200, 1_000)
# Of a text that many rows have: they are one hit, and some of them have better neighbours.
COPIES = 4
HALF_LIFE = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Factors:
    """What age and importance made of a score; each factor is in [0, 1]."""

    recency: float | None = None
    importance: float | None = None


NO_FACTORS = Factors()


class Ranked(NamedTuple):
    """A row with its score, and where its parts are: position `at` of a pool."""

    row_id: int
    score: float
    exact: str | None
    factors: Factors
    pool: Pool
    fused: Fused
    at: int


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the ranking, best first, as columns: a page shows ten of some hundred rows.

    `row_ids`, `scores` and `at` (the position in the pool) are arrays. `looked_at`: these rows are
    in no later part, whose scores are no higher than `lowest`. `more`: a wider pool would hold
    other rows.
    """

    pool: Pool
    fused: Fused
    row_ids: Places
    scores: Floats
    at: Places
    factors: tuple[Floats, Floats] | None
    matches: Mapping[int, str]
    looked_at: frozenset[int]
    lowest: float
    more: bool

    def row(self, number: int) -> Ranked:
        row_id = int(self.row_ids[number])
        return Ranked(
            row_id=row_id,
            score=float(self.scores[number]),
            exact=self.matches.get(row_id),
            factors=self._factors(number),
            pool=self.pool,
            fused=self.fused,
            at=int(self.at[number]),
        )

    def _factors(self, number: int) -> Factors:
        if self.factors is None:
            return NO_FACTORS
        recency, importance = self.factors
        return Factors(float(recency[number]), float(importance[number]))


@dataclass(frozen=True, slots=True)
class Ranker:
    """Ranks for one request, on one view of the index."""

    view: IndexView
    filters: CodedFilters
    asked: Asked
    vector: Vector | None
    request: SearchRequest
    texts: Texts
    now: datetime
    reach: Reach = EVERYTHING

    @property
    def stages(self) -> int:
        """How many parts the ranking has at most."""
        return len(POOL_ROWS)

    def stage(self, number: int, seen: Set[int], ceiling: float) -> Stage:
        """One part of the ranking: of what pool `number` has, the rows that are not `seen`.

        No score is above `ceiling`, the lowest of the part before. Only the first part looks for
        exact matches and has neighbours of its candidates among its hits.
        """
        first = number == 0
        matches = exact(self.view, self.filters, self.asked, self.texts) if first else {}
        pool = gather(
            self.view,
            self.filters,
            self.asked,
            self.vector,
            mode=self.request.mode,
            rows=POOL_ROWS[number],
            copies=COPIES if self.request.fold else None,
            besides=list(matches),
            neighbours=first,
        )
        fused = fuse(pool, self.request.mode)
        hits = np.flatnonzero(pool.may_hit)
        if seen:
            hits = hits[~np.isin(pool.row_ids[hits], list(seen))]
        row_ids, scores = pool.row_ids[hits], fused.score[hits]
        factors = None
        if self.request.recency_weight or self.request.importance_weight:
            factors = self._recency(row_ids), self.view.importance(row_ids).astype(np.float64)
            scores = _mixed(scores, factors[0], self.request.recency_weight)
            scores = _mixed(scores, factors[1], self.request.importance_weight)
        if matches:
            worth = [WORTH.get(matches.get(row_id, ""), 0.0) for row_id in row_ids.tolist()]
            scores = scores + np.asarray(worth, dtype=np.float64)
        order = self.view.order(row_ids, scores)
        scores = np.minimum(scores[order], ceiling)
        lowest = float(scores[-1]) if len(scores) else ceiling
        order = order[: int(np.count_nonzero(scores >= self.request.min_score))]
        return Stage(
            pool=pool,
            fused=fused,
            row_ids=row_ids[order],
            scores=scores[: len(order)],
            at=hits[order],
            factors=None if factors is None else (factors[0][order], factors[1][order]),
            matches=matches,
            looked_at=frozenset(pool.row_ids.tolist()),
            lowest=lowest,
            more=pool.full and lowest >= self.request.min_score,
        )

    def _recency(self, row_ids: Places) -> Floats:
        """1 for now and for the future, 1/2 for 30 days ago, 0 for no time."""
        created_us = self.view.created_us(row_ids)
        age_us = np.maximum((microseconds(self.now) or 0) - created_us.astype(np.float64), 0)
        recency = 0.5 ** (age_us / (HALF_LIFE / timedelta(microseconds=1)))
        return np.where(created_us == NO_TIME, 0.0, recency)


def _mixed(scores: Floats, factor: Floats, weight: float) -> Floats:
    return scores * (1 - weight) + weight * factor
