"""One consistent snapshot of the index, which any number of threads search without a lock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recall_daemon.index.columns import ColumnsView
from recall_daemon.index.filters import CodedFilters
from recall_daemon.index.growable import Array
from recall_daemon.index.vectors import VectorsView, best
from recall_daemon.index.words import WordsView


class Scored(NamedTuple):
    row_id: int
    score: float


@dataclass(frozen=True, slots=True)
class IndexView:
    """Rows, vectors and words as of the same change. Ties: newest first, then row id."""

    columns: ColumnsView
    vectors: VectorsView
    words: WordsView

    def search_vectors(self, query: npt.ArrayLike, filters: CodedFilters, k: int) -> list[Scored]:
        """The k rows nearest in meaning among those that pass, exactly, by inner product."""
        ordinals = np.flatnonzero(self.columns.mask(filters))
        places = self.vectors.places(self.columns.slot[ordinals])
        ordinals, places = ordinals[places >= 0], places[places >= 0]
        scores = self.vectors.scores(np.asarray(query, dtype=np.float32), places)
        chosen = best(scores, k)
        return self._ordered(ordinals[chosen], scores[chosen], k)

    def search_words(self, query: str, filters: CodedFilters, k: int) -> list[Scored]:
        """The k best rows by BM25 among those that pass. The query is plain text, no syntax."""
        return self._ranked(self.words.search(query, filters, k), k)

    def search_phrase(self, query: str, filters: CodedFilters, k: int) -> list[Scored]:
        """Rows with all the query's terms side by side (three at least), shortest texts first."""
        return self._ranked(self.words.phrase(query, filters, k), k)

    def meanings(self, query: npt.ArrayLike, row_ids: Sequence[int]) -> dict[int, float]:
        """The inner product of each row that has a vector."""
        places = self.vectors.places(self.columns.slot[self.columns.ordinals(row_ids)])
        have = places >= 0
        scores = self.vectors.scores(np.asarray(query, dtype=np.float32), places[have])
        kept = [row_id for row_id, has in zip(row_ids, have.tolist(), strict=True) if has]
        return dict(zip(kept, scores.tolist(), strict=True))

    def order(self, row_ids: Sequence[int], scores: Sequence[float]) -> list[int]:
        """Positions in `row_ids` from best to worst."""
        ordinals = self.columns.ordinals(row_ids)
        order = self.columns.newest_first(ordinals, np.asarray(scores, np.float64))
        return [int(at) for at in order]

    def _ranked(self, hits: Sequence[tuple[int, float]], k: int) -> list[Scored]:
        ordinals = self.columns.ordinals([row_id for row_id, _ in hits])
        return self._ordered(ordinals, np.asarray([s for _, s in hits], dtype=np.float64), k)

    def _ordered(self, ordinals: Array, scores: Array, k: int) -> list[Scored]:
        order = self.columns.newest_first(ordinals, scores)[:k]
        row_ids = self.columns.row_id[ordinals[order]].tolist()
        return [Scored(*pair) for pair in zip(row_ids, scores[order].tolist(), strict=True)]
