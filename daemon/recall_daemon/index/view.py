"""One consistent snapshot of the index, which any number of threads search without a lock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recall_daemon.index.columns_view import ColumnsView
from recall_daemon.index.fields import RowFields
from recall_daemon.index.filters import CodedFilters
from recall_daemon.index.growable import Array
from recall_daemon.index.selection import Selections
from recall_daemon.index.slots import Keys
from recall_daemon.index.vectors_view import VectorsView
from recall_daemon.index.words_view import Coverage, WordsView

# So many texts, or groups of them, that crowd a search by words are set aside to see the rest.
_CROWDS_MAX = 8


class Scored(NamedTuple):
    row_id: int
    score: float


@dataclass(frozen=True, slots=True)
class IndexView:
    """Rows, vectors and words as of the same change. Ties: newest first, then row id.

    `keys` are the texts', by slot.
    """

    columns: ColumnsView
    vectors: VectorsView
    words: WordsView
    selections: Selections
    keys: Keys

    def search_vectors(
        self, query: npt.ArrayLike, filters: CodedFilters, k: int, *, copies: int | None = None
    ) -> list[Scored]:
        """The k rows nearest in meaning among those that pass, by their best passage.

        `copies`: of rows with the same text at most so many, the newest.
        """
        passing = self.selections.of(self.columns, self.vectors, filters)
        slots, scores = self.vectors.nearest(
            np.asarray(query, dtype=np.float32), passing.texts, passing.bits, passing.kept, k
        )
        which, ordinals = self.columns.of_slots(slots)
        live = passing.rows[ordinals]
        hits = self._ordered(ordinals[live], scores[which[live]], None if copies else k)
        return self._thinned(hits, copies)[0][:k] if copies else hits

    def search_words(
        self, query: str, filters: CodedFilters, k: int, *, copies: int | None = None
    ) -> list[Scored]:
        """The k best rows by BM25 among those that pass. The query is plain text, no syntax.

        `copies`: of rows with the same text at most so many, the newest. What a thousand rows say
        then leaves room for what one says.
        """
        if copies is None:
            return self._ranked(self.words.search(query, filters, k), filters, k)
        found: dict[int, float] = {}
        crowding: list[int] = []
        for _ in range(_CROWDS_MAX):
            without = self.keys.high[crowding].tolist()
            hits = self._ranked(self.words.search(query, filters, k, without=without), filters)
            kept, more = self._thinned(hits, copies)
            found |= dict(kept)
            if len(hits) < k or len(kept) >= k or not more:
                break
            crowding += more
        ordinals = self.columns.ordinals(list(found))
        return self._ordered(ordinals, np.asarray(list(found.values()), dtype=np.float64), k)

    def search_rare(self, query: str, filters: CodedFilters, k: int) -> list[Scored]:
        """The k rows that hold most of the query's rare terms, however long they are."""
        return self._ranked(self.words.rare(query, filters, k), filters, k)

    def search_phrase(self, query: str, filters: CodedFilters, k: int) -> list[Scored]:
        """Rows with all the query's terms side by side (three at least), shortest texts first."""
        return self._ranked(self.words.phrase(query, filters, k), filters, k)

    def search_holding(
        self, phrases: Sequence[str], query: str, filters: CodedFilters, k: int
    ) -> list[Scored]:
        """Rows that hold every phrase, its terms side by side; best first by the query's words."""
        return self._ranked(self.words.holding(phrases, query, filters, k), filters, k)

    def coverage(self, query: str, row_ids: npt.ArrayLike) -> Coverage:
        """Which of the query's terms each of the rows holds, how much each term tells, and a key of
        what each row says: 0 also while the words are of an older version of the row.
        """
        asked = np.asarray(row_ids, dtype=np.int64)
        coverage = self.words.coverage(query, asked.tolist())
        change_nos = self.columns.change_no[self.columns.ordinals(asked)]
        coverage.said[change_nos > self.words.watermark] = 0
        return coverage

    def passing(self, row_ids: npt.ArrayLike, filters: CodedFilters) -> Array:
        """Those of the rows that are live here and pass, in their order; unknown ids do not."""
        return self.columns.passing(row_ids, filters)

    def fields(self, versions: Mapping[int, int]) -> dict[int, RowFields]:
        """By row id the fields of those rows that are here as of that change_no."""
        return self.columns.fields(versions)

    def text_slots(self, row_ids: npt.ArrayLike) -> Array:
        """A number for each row's text, int32: the same for the same text_hash, -1 without text."""
        return self.columns.slot[self.columns.ordinals(row_ids)]

    def text_keys(self, row_ids: npt.ArrayLike) -> Keys:
        """The 128 bits of each row's text_hash, all 0 without text."""
        slots = self.text_slots(row_ids)
        has = slots >= 0
        keys = Keys(np.zeros(len(slots), np.uint64), np.zeros(len(slots), np.uint64))
        found = self.keys.at(slots[has])
        keys.high[has], keys.low[has] = found.high, found.low
        return keys

    def sharing(
        self, row_ids: Sequence[int], filters: CodedFilters, most: int
    ) -> list[tuple[list[int], int]]:
        """For each distinct text of the rows the live rows that have it and pass.

        The newest `most` of them, and how many there are.
        """
        slots = np.unique(self.text_slots(row_ids))
        asked = slots[slots >= 0]
        which, ordinals = self.columns.of_slots(asked)
        passing = self.selections.of(self.columns, self.vectors, filters).rows[ordinals]
        which, ordinals = which[passing], ordinals[passing]
        order = self.columns.newest_first(ordinals, np.zeros(len(ordinals)))
        which, found = which[order], self.columns.row_id[ordinals[order]]
        counts = np.bincount(which, minlength=len(asked)).tolist()
        return [(found[which == at][:most].tolist(), count) for at, count in enumerate(counts)]

    def meanings(self, query: npt.ArrayLike, row_ids: npt.ArrayLike) -> Array:
        """Each row's inner product with its best passage, float64; NaN without a vector."""
        # Each text once: the last bit of a product depends on where in the matrix a row is.
        slots, which = np.unique(self.text_slots(row_ids), return_inverse=True)
        first, length = self.vectors.runs(slots)
        have = length > 0
        found = np.full(len(slots), np.nan)
        found[have] = self.vectors.best(
            np.asarray(query, dtype=np.float32), first[have], length[have]
        )[0]
        return found[which]

    def passage(self, query: npt.ArrayLike, row_id: int) -> tuple[int, int | None] | None:
        """Characters [start, end) of the row's best passage; an end of None is not known.

        None for a row that has no vector.
        """
        first, length = self.vectors.runs(self.text_slots([row_id]))
        have = length > 0
        _, places = self.vectors.best(
            np.asarray(query, dtype=np.float32), first[have], length[have]
        )
        return self.vectors.span(int(places[0])) if len(places) else None

    def passage_counts(self, row_ids: npt.ArrayLike) -> Array:
        """How many passages each row's text has, int64; 0 where it has no vector."""
        return self.vectors.runs(self.text_slots(row_ids))[1]

    def passages_of(self, row_ids: Sequence[int]) -> dict[int, Array]:
        """The vectors of all passages of each row that has any, float32 of shape (n, dim)."""
        first, length = self.vectors.runs(self.text_slots(row_ids))
        spans = zip(row_ids, first.tolist(), length.tolist(), strict=True)
        return {row_id: self.vectors.at(np.arange(at, at + n)) for row_id, at, n in spans if n}

    def around(self, row_ids: npt.ArrayLike, n: int) -> Array:
        """The live rows around each row in its session, int64 of shape (rows, 2 n + 1).

        A session is that of one system; its rows go by created_at, then row id. The row itself is
        in the middle; -1 where there is none.
        """
        return self.columns.around(row_ids, n)

    def created_us(self, row_ids: npt.ArrayLike) -> Array:
        """Microseconds since 1970, int64; `NO_TIME` for a row without a time."""
        return self.columns.created_us[self.columns.ordinals(row_ids)]

    def importance(self, row_ids: npt.ArrayLike) -> Array:
        """float32; 0 for a row without one."""
        return self.columns.importance[self.columns.ordinals(row_ids)]

    def order(self, row_ids: npt.ArrayLike, scores: npt.ArrayLike) -> Array:
        """Positions in `row_ids` from best to worst, int64."""
        ordinals = self.columns.ordinals(row_ids)
        return self.columns.newest_first(ordinals, np.asarray(scores, np.float64))

    def _thinned(self, hits: Sequence[Scored], copies: int) -> tuple[list[Scored], list[int]]:
        """Of each text the first `copies`, and the slots of texts that have more."""
        slots = self.columns.slot[self.columns.ordinals([hit.row_id for hit in hits])]
        by_slot = np.argsort(slots, kind="stable")
        ordered = slots[by_slot]
        begins = np.searchsorted(ordered, ordered)
        number = np.empty(len(hits), dtype=np.int64)
        number[by_slot] = np.arange(len(hits)) - begins
        over = (number >= copies) & (slots >= 0)
        kept = [hits[at] for at in np.flatnonzero(~over).tolist()]
        return kept, np.unique(slots[over]).tolist()

    def _ranked(
        self, hits: Sequence[tuple[int, float]], filters: CodedFilters, k: int | None = None
    ) -> list[Scored]:
        """While a start reads what it missed, words are of rows that are gone or changed since."""
        scores = dict(hits)
        row_ids = self.columns.passing(list(scores), filters)
        ordinals = self.columns.ordinals(row_ids)
        own = [scores[row_id] for row_id in row_ids.tolist()]
        return self._ordered(ordinals, np.asarray(own, np.float64), k)

    def _ordered(self, ordinals: Array, scores: Array, k: int | None) -> list[Scored]:
        order = self.columns.newest_first(ordinals, scores)[:k]
        row_ids = self.columns.row_id[ordinals[order]].tolist()
        return [Scored(*pair) for pair in zip(row_ids, scores[order].tolist(), strict=True)]
