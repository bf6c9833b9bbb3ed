"""One ranking of everything that may answer a query, deeper and deeper as it is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import repeat
from typing import NamedTuple

import numpy as np

from recall_daemon.index.feed import StoredRow, Texts
from recall_daemon.index.filters import CodedFilters
from recall_daemon.index.view import IndexView
from recall_daemon.search.asked import Asked
from recall_daemon.search.exact import WORTH, exact
from recall_daemon.search.fuse import Fused, fuse
from recall_daemon.search.pool import Pool, Vector, gather
from recall_daemon.search.query import SearchRequest

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
    """A part of the ranking, best first; `more`: a wider pool would hold other rows."""

    ranked: list[Ranked]
    looked_at: frozenset[int]
    lowest: float
    more: bool


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
        ranked = [row for row in self._ranked(pool, matches, ceiling) if row.row_id not in seen]
        lowest = ranked[-1].score if ranked else ceiling
        return Stage(
            ranked=[row for row in ranked if row.score >= self.request.min_score],
            looked_at=frozenset(pool.row_ids.tolist()),
            lowest=lowest,
            more=pool.full and lowest >= self.request.min_score,
        )

    def _ranked(self, pool: Pool, matches: Mapping[int, str], ceiling: float) -> list[Ranked]:
        fused = fuse(pool, self.request.mode)
        factors = self._factors(pool.row_ids.tolist())
        hits = np.flatnonzero(pool.may_hit)
        row_ids = pool.row_ids[hits]
        scores = fused.score[hits]
        if factors:
            own = [factors.get(row_id, NO_FACTORS) for row_id in row_ids.tolist()]
            weighted = [self._weighted(*pair) for pair in zip(scores.tolist(), own, strict=True)]
            scores = np.asarray(weighted, dtype=np.float64)
        if matches:
            worth = [WORTH.get(matches.get(row_id, ""), 0.0) for row_id in row_ids.tolist()]
            scores = scores + np.asarray(worth, dtype=np.float64)
        order = self.view.order(row_ids, scores)
        best = row_ids[order].tolist()
        # A pool has hundreds of rows, of which a page shows ten: by columns it takes a tenth.
        columns = zip(
            best,
            np.minimum(scores[order], ceiling).tolist(),
            [matches.get(row_id) for row_id in best],
            [factors.get(row_id, NO_FACTORS) for row_id in best],
            repeat(pool, len(best)),
            repeat(fused, len(best)),
            hits[order].tolist(),
            strict=True,
        )
        return [Ranked._make(values) for values in columns]

    def _factors(self, row_ids: Sequence[int]) -> dict[int, Factors]:
        if not (self.request.recency_weight or self.request.importance_weight):
            return {}
        rows = self.texts.rows(row_ids)
        return {
            row_id: Factors(self._recency(row), row.importance or 0.0)
            for row_id, row in rows.items()
        }

    def _recency(self, row: StoredRow) -> float:
        """1 for now and for the future, 1/2 for 30 days ago, 0 for no time."""
        if row.created_at is None:
            return 0.0
        age = self.now - row.created_at.astimezone(UTC)
        return float(min(1.0, 0.5 ** max(age / HALF_LIFE, 0.0)))

    def _weighted(self, score: float, factors: Factors) -> float:
        recency, importance = self.request.recency_weight, self.request.importance_weight
        score = score * (1 - recency) + recency * (factors.recency or 0.0)
        return score * (1 - importance) + importance * (factors.importance or 0.0)
