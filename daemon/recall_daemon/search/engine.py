"""The search: candidates by meaning, by words and by phrase, one fused ranking, then the texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import structlog

from recall_daemon.index.feed import StoredRow, Texts
from recall_daemon.index.filters import CodedFilters
from recall_daemon.index.follower import Index
from recall_daemon.index.view import IndexView
from recall_daemon.search.fuse import fuse
from recall_daemon.search.query import Scores, SearchAnswer, SearchHit, SearchRequest
from recall_daemon.search.verbatim import holds, normal

Vector = npt.NDArray[np.float32]
# None from it means that there is no model at present.
EmbedQuery = Callable[[str], npt.ArrayLike | None]

POOL_ROWS = 100
PHRASE_POOL_ROWS = 200
# The model reads at most 256 tokens; tokenizing more than this of a pasted text is waste.
_EMBED_MAX_CHARS = 10_000

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Candidate:
    row_id: int
    fused: float
    meaning: float | None
    words: float


class Search:
    """Answers searches from one index. Blocking; safe from many threads.

    Filters apply before the candidates are cut. A text that holds the whole query word for word
    (three terms at least) ranks above all that do not. Equal scores: newest first, then row id.
    Without an embedder, or when it fails, the search goes by words alone and says `degraded`.
    """

    def __init__(self, index: Index, texts: Texts, embed_query: EmbedQuery | None) -> None:
        self._index = index
        self._texts = texts
        self._embed_query = embed_query

    def search(self, request: SearchRequest) -> SearchAnswer:
        vector = self._embed(request.query)
        view, filters = self._index.view_for(request.filters)
        hits: tuple[SearchHit, ...] = ()
        if filters is not None:
            hits = self._hits(view, filters, request, vector)
        return SearchAnswer(request.query, vector is None, hits)

    def _embed(self, query: str) -> Vector | None:
        if self._embed_query is None:
            return None
        try:
            found = self._embed_query(query[:_EMBED_MAX_CHARS])
            if found is None:
                return None
            vector = np.asarray(found, dtype=np.float32)
        except Exception as error:  # whatever a model does, words still answer
            log.warning("query_embedding_failed", error=str(error), kind=type(error).__name__)
            return None
        if vector.shape != (self._index.dim,) or not np.isfinite(vector).all():
            log.warning("query_embedding_unusable", shape=vector.shape, dim=self._index.dim)
            return None
        return vector

    def _hits(
        self,
        view: IndexView,
        filters: CodedFilters,
        request: SearchRequest,
        vector: Vector | None,
    ) -> tuple[SearchHit, ...]:
        phrase = view.search_phrase(request.query, filters, PHRASE_POOL_ROWS)
        ranked = _rank(view, filters, request, vector, [hit.row_id for hit in phrase])
        with_phrase = {hit.row_id for hit in phrase}
        verbatim = self._verbatim([c for c in ranked if c.row_id in with_phrase], request)
        first = {hit.row_id for hit, _ in verbatim}
        rest = [candidate for candidate in ranked if candidate.row_id not in first]
        hits = [_hit(row, candidate, verbatim=True) for candidate, row in verbatim]
        for candidate, row in self._fetched(rest, request.limit):
            if len(hits) >= request.limit:
                break
            hits.append(_hit(row, candidate, verbatim=False))
        return tuple(hits)

    def _verbatim(
        self, candidates: Sequence[_Candidate], request: SearchRequest
    ) -> list[tuple[_Candidate, StoredRow]]:
        """The best `limit` candidates that hold the query word for word."""
        wanted = normal(request.query)
        found: list[tuple[_Candidate, StoredRow]] = []
        for candidate, row in self._fetched(candidates, request.limit):
            if holds(row.text, wanted):
                found.append((candidate, row))
            if len(found) == request.limit:
                break
        return found

    def _fetched(
        self, candidates: Sequence[_Candidate], at_a_time: int
    ) -> Iterator[tuple[_Candidate, StoredRow]]:
        """Candidates with their rows; one that was deleted meanwhile makes room for the next."""
        for start in range(0, len(candidates), at_a_time):
            some = candidates[start : start + at_a_time]
            rows = self._texts.rows([candidate.row_id for candidate in some])
            for candidate in some:
                if candidate.row_id in rows:
                    yield candidate, rows[candidate.row_id]


def _rank(
    view: IndexView,
    filters: CodedFilters,
    request: SearchRequest,
    vector: Vector | None,
    also: Sequence[int],
) -> list[_Candidate]:
    """All candidates, best first, each with both of its scores."""
    pool = max(POOL_ROWS, 2 * request.limit)
    words = dict[int, float](view.search_words(request.query, filters, pool))
    near = [] if vector is None else view.search_vectors(vector, filters, pool)
    row_ids = list(dict.fromkeys([*words, *(hit.row_id for hit in near), *also]))
    meanings = None if vector is None else view.meanings(vector, row_ids)
    words |= view.words.scores(request.query, [r for r in row_ids if r not in words])
    fused = fuse(row_ids, meanings, words)
    known = meanings or {}
    return [
        _Candidate(row_ids[at], fused[at], known.get(row_ids[at]), words.get(row_ids[at], 0.0))
        for at in view.order(row_ids, fused)
    ]


def _hit(row: StoredRow, candidate: _Candidate, *, verbatim: bool) -> SearchHit:
    return SearchHit(
        system_id=row.system_id,
        memory_id=row.memory_id,
        kind=row.kind,
        text=row.text,
        project=row.project,
        session_id=row.session_id,
        created_at=row.created_at,
        tier=row.tier,
        score=candidate.fused + verbatim,
        agent_id=row.agent_id,
        seq=row.seq,
        tags=tuple(row.tags),
        scores=Scores(candidate.meaning, candidate.words, verbatim),
    )
