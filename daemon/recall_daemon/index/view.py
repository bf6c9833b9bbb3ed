"""One consistent snapshot of the index, which any number of threads search without a lock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recall_daemon.index.columns_view import ColumnsView
from recall_daemon.index.filters import CodedFilters
from recall_daemon.index.growable import Array
from recall_daemon.index.selection import Selections
from recall_daemon.index.vectors_view import VectorsView
from recall_daemon.index.words import Coverage, WordsView


class Scored(NamedTuple):
    row_id: int
    score: float


@dataclass(frozen=True, slots=True)
class IndexView:
    """Rows, vectors and words as of the same change. Ties: newest first, then row id."""

    columns: ColumnsView
    vectors: VectorsView
    words: WordsView
    selections: Selections

    def search_vectors(self, query: npt.ArrayLike, filters: CodedFilters, k: int) -> list[Scored]:
        """The k rows nearest in meaning among those that pass, by their best passage."""
        passing = self.selections.of(self.columns, self.vectors, filters)
        slots, scores = self.vectors.nearest(
            np.asarray(query, dtype=np.float32), passing.texts, passing.bits, passing.kept, k
        )
        which, ordinals = self.columns.of_slots(slots)
        live = passing.rows[ordinals]
        return self._ordered(ordinals[live], scores[which[live]], k)

    def search_words(self, query: str, filters: CodedFilters, k: int) -> list[Scored]:
        """The k best rows by BM25 among those that pass. The query is plain text, no syntax."""
        return self._ranked(self.words.search(query, filters, k), filters, k)

    def search_phrase(self, query: str, filters: CodedFilters, k: int) -> list[Scored]:
        """Rows with all the query's terms side by side (three at least), shortest texts first."""
        return self._ranked(self.words.phrase(query, filters, k), filters, k)

    def search_holding(
        self, phrases: Sequence[str], query: str, filters: CodedFilters, k: int
    ) -> list[Scored]:
        """Rows that hold every phrase, its terms side by side; best first by the query's words."""
        return self._ranked(self.words.holding(phrases, query, filters, k), filters, k)

    def coverage(self, query: str, row_ids: Sequence[int]) -> Coverage:
        """Which of the query's terms each of the rows holds, and how much each term tells."""
        return self.words.coverage(query, row_ids)

    def passing(self, row_ids: Sequence[int], filters: CodedFilters) -> list[int]:
        """Those of the rows that are live here and pass, in their order; unknown ids do not."""
        return self.columns.passing(row_ids, filters)

    def same_text(self, row_ids: Sequence[int]) -> dict[int, int]:
        """A number for each row's text: the same for the same text_hash, -1 without text."""
        slots = self.columns.slot[self.columns.ordinals(row_ids)]
        return dict(zip(row_ids, slots.tolist(), strict=True))

    def sharing(self, row_ids: Sequence[int], filters: CodedFilters) -> list[list[int]]:
        """For each distinct text of the rows all live rows that have it and pass."""
        slots = {slot for slot in self.same_text(row_ids).values() if slot >= 0}
        asked = np.asarray(sorted(slots), dtype=np.int32)
        which, ordinals = self.columns.of_slots(asked)
        live = self.columns.live[ordinals]
        which, found = which[live], self.columns.row_id[ordinals[live]]
        return [
            self.columns.passing(np.sort(found[which == at]).tolist(), filters)
            for at in range(len(asked))
        ]

    def meanings(self, query: npt.ArrayLike, row_ids: Sequence[int]) -> dict[int, float]:
        """The inner product with its best passage, of each row that has a vector."""
        kept, first, length = self._runs(row_ids)
        scores, _ = self.vectors.best(np.asarray(query, dtype=np.float32), first, length)
        return dict(zip(kept, scores.tolist(), strict=True))

    def passage(self, query: npt.ArrayLike, row_id: int) -> tuple[int, int | None] | None:
        """Characters [start, end) of the row's best passage; an end of None is not known.

        None for a row that has no vector.
        """
        _, first, length = self._runs([row_id])
        _, places = self.vectors.best(np.asarray(query, dtype=np.float32), first, length)
        return self.vectors.span(int(places[0])) if len(places) else None

    def vectors_of(self, row_ids: Sequence[int]) -> dict[int, Array]:
        """The vector of the beginning of each row that has one, float32[dim]."""
        kept, first, _ = self._runs(row_ids)
        return dict(zip(kept, self.vectors.at(first), strict=True))

    def passages_of(self, row_ids: Sequence[int]) -> dict[int, Array]:
        """The vectors of all passages of each row that has any, float32 of shape (n, dim)."""
        kept, first, length = self._runs(row_ids)
        spans = zip(kept, first.tolist(), length.tolist(), strict=True)
        return {row_id: self.vectors.at(np.arange(at, at + n)) for row_id, at, n in spans}

    def neighbours(
        self, row_ids: Sequence[int], n: int
    ) -> dict[int, tuple[tuple[int, ...], tuple[int, ...]]]:
        """For each row the ids of at most `n` live rows before and after it in its session.

        A session is that of one system; its rows go by created_at, then row id. The nearest come
        first. A row without a session has no neighbours.
        """
        return self.columns.beside(row_ids, n)

    def _runs(self, row_ids: Sequence[int]) -> tuple[list[int], Array, Array]:
        """Those of the rows that have a vector, and the places of their passages."""
        slots = self.columns.slot[self.columns.ordinals(row_ids)]
        first, length = self.vectors.runs(slots)
        have = length > 0
        kept = [row_id for row_id, has in zip(row_ids, have.tolist(), strict=True) if has]
        return kept, first[have], length[have]

    def order(self, row_ids: Sequence[int], scores: Sequence[float]) -> list[int]:
        """Positions in `row_ids` from best to worst."""
        ordinals = self.columns.ordinals(row_ids)
        order = self.columns.newest_first(ordinals, np.asarray(scores, np.float64))
        return [int(at) for at in order]

    def _ranked(
        self, hits: Sequence[tuple[int, float]], filters: CodedFilters, k: int
    ) -> list[Scored]:
        """While a start reads what it missed, words are of rows that are gone or changed since."""
        scores = dict(hits)
        row_ids = self.columns.passing(list(scores), filters)
        ordinals = self.columns.ordinals(row_ids)
        return self._ordered(ordinals, np.asarray([scores[i] for i in row_ids], np.float64), k)

    def _ordered(self, ordinals: Array, scores: Array, k: int) -> list[Scored]:
        order = self.columns.newest_first(ordinals, scores)[:k]
        row_ids = self.columns.row_id[ordinals[order]].tolist()
        return [Scored(*pair) for pair in zip(row_ids, scores[order].tolist(), strict=True)]
