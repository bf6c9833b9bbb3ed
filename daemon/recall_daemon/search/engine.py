"""The search: reads the query, ranks, cuts a page out of the ranking, and fetches its texts."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from datetime import UTC, datetime

from recall_daemon.index.feed import Texts
from recall_daemon.index.filters import NO_FILTERS, CodedFilters, Filters
from recall_daemon.index.follower import Index
from recall_daemon.index.view import IndexView
from recall_daemon.search.answer import SearchAnswer, SearchHit
from recall_daemon.search.asked import Asked, read
from recall_daemon.search.listing import Listing, Listings
from recall_daemon.search.measured import measured
from recall_daemon.search.page import Page
from recall_daemon.search.pool import Vector
from recall_daemon.search.query import REACH_MAX, SearchRequest
from recall_daemon.search.query_vectors import EmbedQuery, QueryVectors
from recall_daemon.search.rank import Ranker
from recall_daemon.search.reach import EVERYTHING, Reach

# How long searches wait for an index that is being opened, from the first one on.
START_WAIT_S = 5.0


def _now() -> datetime:
    return datetime.now(UTC)


def _not_held(view: IndexView, filters: CodedFilters, asked: Asked) -> tuple[str, ...]:
    """The quotes that no row holds all of, where there are other words to go by.

    "Would she like the song "The Four Seasons"?" is answered by what was said of music.
    """
    if not asked.quotes or not asked.beside_quotes:
        return ()
    return () if view.search_holding(asked.quotes, "", filters, 1) else asked.quotes


class Search:
    """Answers searches from one index. Blocking; safe from many threads.

    Filters apply before the candidates are cut. Equal scores: newest first, then row id. Without an
    embedder, or when it fails, the search goes by words alone and says `degraded`. A question that
    quotes what no memory holds together is answered by its words, and the answer names the quotes.
    Pages after the first are cut from the ranking that the first one made, for some minutes. Right
    after the start it waits for the index, up to `START_WAIT_S`, and says `incomplete` after that.
    """

    def __init__(
        self,
        index: Index,
        texts: Texts,
        embed_query: EmbedQuery | None,
        *,
        now: Callable[[], datetime] = _now,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._index = index
        self._texts = texts
        self._vectors = QueryVectors(embed_query)
        self._now = now
        self._listings = Listings(clock_s)
        self._clock_s = clock_s
        self._waits_until: float | None = None

    def search(
        self,
        request: SearchRequest,
        reach: Reach = EVERYTHING,
        filters: Filters | None = None,
    ) -> SearchAnswer:
        """Of what is within `reach` alone. `filters` are in the place of the request's own."""
        with measured(request.mode) as ending:
            answer = self._answer(request, reach, filters or request.filters)
            ending.outcome = "degraded" if answer.degraded else "ok"
        return answer

    def _answer(self, request: SearchRequest, reach: Reach, wanted: Filters) -> SearchAnswer:
        asked = read(request.query)
        incomplete = self._is_incomplete()  # before the view: it may be whole a moment later
        at_once = reach.fixed()
        narrowed = at_once.narrowed(wanted)
        view, filters = self._index.view_for(narrowed or NO_FILTERS)
        vector = self._vector(request, asked, view)
        degraded = vector is None and request.mode != "words"
        if filters is None or narrowed is None:
            return SearchAnswer(request.query, degraded, incomplete, ())
        not_held = _not_held(view, filters, asked)
        if not_held:
            asked = asked.without_quotes()
        ranker = Ranker(view, filters, asked, vector, request, self._texts, self._now(), at_once)
        listing = self._listing(request, degraded, (reach, wanted))
        with listing.lock:
            hits, next_offset = self._cut(listing, ranker)
        return SearchAnswer(request.query, degraded, incomplete, hits, next_offset, not_held)

    def _is_incomplete(self) -> bool:
        if self._waits_until is None:
            self._waits_until = self._clock_s() + START_WAIT_S
        self._index.wait_for_start(max(self._waits_until - self._clock_s(), 0.0))
        return not self._index.is_complete

    def _vector(self, request: SearchRequest, asked: Asked, view: IndexView) -> Vector | None:
        """In the space of the view, for a model may take over at any moment."""
        if request.mode == "words":
            return None
        return self._vectors.of(asked.plain, view.vectors.space_id, self._index.dim)

    def _listing(self, request: SearchRequest, degraded: bool, of: Hashable) -> Listing:
        key = (request.ranking, degraded, of)
        return self._listings.get(key, anew=request.offset == 0, fold=request.fold)

    def _cut(self, listing: Listing, ranker: Ranker) -> tuple[tuple[SearchHit, ...], int | None]:
        """The page, and where the next one starts."""
        request = ranker.request
        page = Page(ranker)
        at = request.offset
        while len(page.rows) < request.limit:
            wanted = request.limit - len(page.rows)
            listing.reach(at + wanted + 1, ranker)  # one more, to know whether there is one
            some = listing.hits(at, at + wanted)
            page.add(some)
            at += len(some)
            if len(some) < wanted:
                break
        more = at < min(len(listing), REACH_MAX)
        return page.hits(), at if more else None
