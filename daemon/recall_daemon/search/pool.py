"""The rows that may answer a query, and everything about them that their ranks are made of."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from recall_daemon.index.filters import CodedFilters
from recall_daemon.index.view import IndexView
from recall_daemon.index.words_view import Coverage
from recall_daemon.search.asked import Asked
from recall_daemon.search.query import Mode

Vector = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

# How many turns of a session on either side lend to a row.
WINDOW = 2
# So many rows with the quoted terms are ranked, best first by words; more are not looked at.
QUOTED_MAX_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class Pool:
    """Candidates and their neighbours; arrays by position.

    `meaning` is the cosine (NaN: the row has no vector), None where none was looked for; `bm25` is
    0 for a row that the words did not find. `passages`: how many its text has, 0: not known. `next`
    is the position of the row that follows in the session, -1 for none in the pool. `found` are
    candidates, the others are neighbours of one. `full`: a list was cut off, so that a larger pool
    would hold more.
    """

    row_ids: list[int]
    meaning: Floats | None
    bm25: Floats
    coverage: Coverage
    passages: Places
    next: Places
    found: npt.NDArray[np.bool_]
    may_hit: npt.NDArray[np.bool_]
    full: bool

    def __len__(self) -> int:
        return len(self.row_ids)


@dataclass(frozen=True, slots=True)
class _Found:
    """Rows by words with their BM25, rows by meaning, and the rows that hits are confined to."""

    words: dict[int, float]
    near: list[int]
    only: Collection[int] | None
    full: bool


def gather(
    view: IndexView,
    filters: CodedFilters,
    asked: Asked,
    vector: Vector | None,
    *,
    mode: Mode,
    rows: int,
    copies: int | None,
    besides: Sequence[int] = (),
    neighbours: bool = True,
) -> Pool:
    """At most `rows` candidates by words and as many by meaning, and `besides`.

    Of rows with the same text at most `copies` are candidates, the newest; None: all are.

    A neighbour comes in only where it passes the filters, and lends only then.
    """
    found = _found(view, filters, asked, vector, mode=mode, rows=rows, copies=copies)
    candidates = list(dict.fromkeys([*found.words, *found.near, *besides]))
    following: dict[int, int] = {}
    row_ids = candidates
    if neighbours and mode == "hybrid":
        following = _following(view, filters, candidates)
        row_ids = list(dict.fromkeys([*candidates, *following, *following.values()]))
    place = {row_id: at for at, row_id in enumerate(row_ids)}
    only = found.only
    return Pool(
        row_ids=row_ids,
        meaning=_meaning(view, vector, row_ids),
        bm25=np.asarray([found.words.get(row_id, 0.0) for row_id in row_ids], dtype=np.float64),
        coverage=view.coverage(asked.content, row_ids),
        passages=view.passage_counts(row_ids),
        next=np.asarray([place.get(following.get(i, -1), -1) for i in row_ids], dtype=np.int64),
        found=np.arange(len(row_ids)) < len(candidates),
        may_hit=np.asarray([only is None or i in only for i in row_ids], dtype=np.bool_),
        full=found.full,
    )


def _found(
    view: IndexView,
    filters: CodedFilters,
    asked: Asked,
    vector: Vector | None,
    *,
    mode: Mode,
    rows: int,
    copies: int | None,
) -> _Found:
    if asked.quotes:
        holding = view.search_holding(asked.quotes, asked.content, filters, QUOTED_MAX_ROWS)
        scores = dict[int, float](holding)
        cosines = {} if vector is None else view.meanings(vector, list(scores))
        near = sorted(cosines, key=lambda row_id: -cosines[row_id])[:rows]
        by_words = {} if mode == "meaning" and near else dict(list(scores.items())[:rows])
        return _Found(by_words, near, frozenset(scores), len(scores) > rows)
    words: dict[int, float] = {}
    if mode != "meaning" or vector is None:
        words = dict[int, float](view.search_words(asked.content, filters, rows, copies=copies))
    found = [] if vector is None else view.search_vectors(vector, filters, rows, copies=copies)
    full = len(words) >= rows or len(found) >= rows
    if mode == "hybrid":
        rare = view.search_rare(asked.content, filters, rows // 2)
        words |= {hit.row_id: 0.0 for hit in rare if hit.row_id not in words}
    return _Found(words, [hit.row_id for hit in found], None, full)


def _following(view: IndexView, filters: CodedFilters, candidates: Sequence[int]) -> dict[int, int]:
    """For each row of the candidates' windows the row after it, where that is in a window, too."""
    windows = [
        [*reversed(before), row_id, *after]
        for row_id, (before, after) in view.neighbours(candidates, WINDOW).items()
    ]
    around = list(dict.fromkeys(row_id for window in windows for row_id in window))
    passing = set(view.passing(around, filters))
    return {
        row_id: after
        for window in windows
        for row_id, after in pairwise(window)
        if row_id in passing and after in passing
    }


def _meaning(view: IndexView, vector: Vector | None, row_ids: Sequence[int]) -> Floats | None:
    if vector is None:
        return None
    cosines = view.meanings(vector, row_ids)
    return np.asarray([cosines.get(row_id, np.nan) for row_id in row_ids], dtype=np.float64)
