"""The rows that may answer a query, and everything about them that their ranks are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
# Of so many candidates by words, and as many by meaning, the neighbours are looked at: those of
# more find nothing (`bench/retrieval.py`: the same recall@10, and a lower one @50).
LEADING = 30
# So many rows with the quoted terms are ranked, best first by words; more are not looked at.
QUOTED_MAX_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class Pool:
    """Candidates and their neighbours; arrays by position.

    `meaning` is the cosine (NaN: the row has no vector), None where none was looked for; `bm25` is
    0 for a row that the words did not find. `passages`: how many its text has, 0: not known. `next`
    is the position of the row that follows in the session, -1 where none was looked at. `found` are
    candidates, the others are neighbours of one. `full`: a list was cut off, so that a larger pool
    would hold more.
    """

    row_ids: Places
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
    only: Places | None
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

    Neighbours come in of the first `LEADING` of either, only where they pass the filters, and lend
    only then.
    """
    found = _found(view, filters, asked, vector, mode=mode, rows=rows, copies=copies)
    words = np.fromiter(found.words, dtype=np.int64, count=len(found.words))
    candidates = np.unique(np.concatenate([words, _ids(found.near), _ids(besides)]))
    row_ids, following = candidates, np.empty((0, 2), dtype=np.int64)
    if neighbours and mode == "hybrid":
        best = [words[:LEADING], _ids(found.near[:LEADING]), _ids(besides)]
        following = _following(view, filters, np.unique(np.concatenate(best)))
        row_ids = np.concatenate([candidates, np.setdiff1d(following, candidates)])
    bm25 = np.zeros(len(row_ids))
    bm25[_places(candidates, words)] = list(found.words.values())
    after = np.full(len(row_ids), -1, dtype=np.int64)
    after[_places(row_ids, following[:, 0])] = _places(row_ids, following[:, 1])
    return Pool(
        row_ids=row_ids,
        meaning=None if vector is None else view.meanings(vector, row_ids),
        bm25=bm25,
        coverage=view.coverage(asked.content, row_ids),
        passages=view.passage_counts(row_ids),
        next=after,
        found=np.arange(len(row_ids)) < len(candidates),
        may_hit=np.ones(len(row_ids), dtype=np.bool_)
        if found.only is None
        else np.isin(row_ids, found.only),
        full=found.full,
    )


def _ids(row_ids: Sequence[int]) -> Places:
    return np.asarray(row_ids, dtype=np.int64)


def _places(row_ids: Places, wanted: Places) -> Places:
    """Where each of the `wanted` is among `row_ids`."""
    order = np.argsort(row_ids)
    return np.asarray(order[np.searchsorted(row_ids, wanted, sorter=order)])


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
        near = [] if vector is None else _nearest(view, vector, list(scores))[:rows]
        by_words = {} if mode == "meaning" and near else dict(list(scores.items())[:rows])
        return _Found(by_words, near, _ids(list(scores)), len(scores) > rows)
    words: dict[int, float] = {}
    if mode != "meaning" or vector is None:
        words = dict[int, float](view.search_words(asked.content, filters, rows, copies=copies))
    found = [] if vector is None else view.search_vectors(vector, filters, rows, copies=copies)
    full = len(words) >= rows or len(found) >= rows
    if mode == "hybrid":
        rare = view.search_rare(asked.content, filters, rows // 2)
        words |= {hit.row_id: 0.0 for hit in rare if hit.row_id not in words}
    return _Found(words, [hit.row_id for hit in found], None, full)


def _following(view: IndexView, filters: CodedFilters, candidates: Places) -> Places:
    """Rows of the candidates' windows and the row after each, where both pass: shape (n, 2).

    Windows overlap: a pair may come more than once.
    """
    around = view.around(candidates, WINDOW)
    asked, which = np.unique(around, return_inverse=True)
    mask = np.zeros(len(asked), dtype=np.bool_)
    mask[np.searchsorted(asked, view.passing(asked, filters))] = True
    passing = mask[which].reshape(around.shape)
    pairs = np.stack([around[:, :-1], around[:, 1:]], axis=-1)
    return np.asarray(pairs[passing[:, :-1] & passing[:, 1:]])


def _nearest(view: IndexView, vector: Vector, row_ids: list[int]) -> list[int]:
    """Those of the rows that have a vector, the nearest first."""
    cosines = view.meanings(vector, row_ids)
    return [row_ids[at] for at in np.argsort(-cosines, kind="stable") if not np.isnan(cosines[at])]
