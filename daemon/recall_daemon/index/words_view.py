"""Searching the words, as they were at one moment: BM25, phrases, which terms a row holds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from tantivy import (
    DocAddress,
    FieldType,
    Occur,
    Order,
    Query,
    Schema,
    Searcher,
    TextAnalyzer,
)

from recall_daemon.index.analysis import composed
from recall_daemon.index.documents import (
    LACKING,
    SAID_KEY,
    TEXT,
    TEXT_KEY,
    term_of,
)
from recall_daemon.index.filters import CodedFilters
from recall_daemon.index.growable import Array
from recall_daemon.index.query_words import QueryWords, any_of, word
from recall_daemon.index.words_seen import within as within_sight

PHRASE_MAX_TERMS = 4_096
# What proves that a row's words are there.
HELD_TERMS = 64
_TIED_MAX = 40
# A term that so few rows have, or one in a hundred, is rare.
RARE_ROWS = 50
_RARE_IDF = math.log(100)
_LISTED_ROW_IDS = 50_000
# A search asks several times by the same words.
_READ_MAX = 8


@dataclass(frozen=True, slots=True)
class Coverage:
    """`holds` is bool[rows, terms]; `weights` float64[terms] are the terms' idf, rarest first.

    `said` is uint64[rows]: the same for rows that say the same in other dress; 0: not known.
    """

    terms: list[str]
    weights: Array
    holds: Array
    said: Array


@dataclass(frozen=True, slots=True)
class WordsView:
    """The rows' words as they were at one moment. Scores are BM25; hits are (row id, score).

    `watermark` is the change_no up to which none is missing.
    """

    searcher: Searcher
    schema: Schema
    analyzer: TextAnalyzer
    watermark: int
    _read: dict[str, QueryWords] = field(default_factory=dict, repr=False, compare=False)

    @property
    def rows(self) -> int:
        return int(self.searcher.num_docs)

    def search(
        self, query: str, filters: CodedFilters, k: int, *, without: Sequence[int] = ()
    ) -> list[tuple[int, float]]:
        """The k best rows that hold any of the query's words, and all that tie with the last.

        Words that nearly every one of very many rows holds find none where others do.
        `without`: the keys of texts that are not wanted (`Keys.high`).
        """
        words = self._asked(query).any
        if words is None:
            return []
        unwanted = [
            Query.term_query(self.schema, TEXT_KEY, key, index_option="basic") for key in without
        ]
        if unwanted:
            words = Query.boolean_query(
                [(Occur.Must, words), *((Occur.MustNot, text) for text in unwanted)]
            )
        return self._top(self._within(words, filters), k)

    def scores(self, query: str, row_ids: Sequence[int]) -> dict[int, float]:
        """The scores `search` would give these rows; a row with none of the words is absent."""
        words = self._asked(query).any
        if words is None or not row_ids:
            return {}
        these = Query.term_set_query(self.schema, "row_id", list(row_ids))
        return dict(self._hits(_both(words, these), len(row_ids)))

    def phrase(self, query: str, filters: CodedFilters, k: int) -> list[tuple[int, float]]:
        """Rows that hold all terms of the query side by side; nothing below three terms."""
        if len(self.analyzer.pre_tokenize(composed(query)).tokens) < 3:
            return []
        return self.holding([query], "", filters, k)

    def holding(
        self, phrases: Sequence[str], query: str, filters: CodedFilters, k: int
    ) -> list[tuple[int, float]]:
        """The k best rows, by the query's words, of those that hold every phrase side by side.

        A phrase may be a single word. One without any term (punctuation) is held by every row;
        when none has a term, nothing is found.
        """
        held = [phrase for text in phrases if (phrase := self._phrase(text)) is not None]
        if not held:
            return []
        words = self._asked(query).any
        wanted = [(Occur.Must, phrase) for phrase in held]
        if words is not None:
            wanted.append((Occur.Should, words))
        return self._top(self._within(Query.boolean_query(wanted), filters), k)

    def rare(self, query: str, filters: CodedFilters, k: int) -> list[tuple[int, float]]:
        """The k rows that hold most of the query's rare terms, by the sum of their idf.

        However long a row is, and whatever else it holds: BM25 finds a word at the end of a long
        text after all short texts that hold a common one.
        """
        least = min(_RARE_IDF, math.log1p((self.rows - RARE_ROWS) / RARE_ROWS)) if self.rows else 0
        terms = [
            Query.const_score_query(term, idf)
            for _, idf, term in self._asked(query).telling
            if idf >= least
        ]
        return self._hits(self._within(any_of(terms), filters), k) if terms else []

    def coverage(self, query: str, row_ids: Sequence[int]) -> Coverage:
        """Which of the query's terms each of the rows holds, and a key of what each says.

        For some hundred distinct rows at a time. Of a long query the 20 rarest terms that any row
        has.
        """
        terms = self._asked(query).telling
        names, weights = [name for name, _, _ in terms], [weight for _, weight, _ in terms]
        bits, said = np.zeros(len(row_ids), dtype=np.int64), np.zeros(len(row_ids), dtype=np.uint64)
        if len(row_ids):
            # Not a term set: walking its automaton in every segment takes longer than this.
            these = [
                Query.term_query(self.schema, "row_id", i, index_option="basic") for i in row_ids
            ]
            # Each term scores a power of two of its own, so that one query tells which are held.
            held = [Query.const_score_query(term, 2.0**at) for at, (_, _, term) in enumerate(terms)]
            rows = Query.const_score_query(any_of(these), 0.0)
            found = Query.boolean_query([(Occur.Must, rows), *((Occur.Should, t) for t in held)])
            place = {row_id: at for at, row_id in enumerate(row_ids)}
            hits = self.searcher.search(found, len(row_ids), count=False).hits
            addresses = [address for _, address in hits]
            at = [place[row_id] for row_id in self._row_ids(addresses)]
            bits[at] = [int(score) for score, _ in hits]
            keys = self.searcher.fast_field_values(SAID_KEY, addresses)
            said[at] = [key or 0 for key in keys]
        holds = (bits[:, None] >> np.arange(len(terms)) & 1).astype(np.bool_)
        return Coverage(names, np.asarray(weights, dtype=np.float64), holds, said)

    def _asked(self, query: str) -> QueryWords:
        known = self._read.get(query)
        if known is None:
            if len(self._read) >= _READ_MAX:
                self._read.clear()
            known = QueryWords.of(query, self.searcher, self.schema, self.analyzer)
            self._read[query] = known
        return known

    def _phrase(self, text: str, most: int = PHRASE_MAX_TERMS) -> Query | None:
        tokens = self.analyzer.pre_tokenize(composed(text)).tokens[:most]
        if not tokens:
            return None
        if len(tokens) == 1:  # tantivy panics on a phrase of a single term
            return word(self.schema, tokens[0].text)
        first = tokens[0].position
        places = [(token.position - first, token.text) for token in tokens]
        return Query.phrase_query(self.schema, "text", places)

    def holds(self, row_id: int, text: str) -> bool:
        """Whether a row's document has the first `HELD_TERMS` terms of its text, side by side."""
        phrase = self._phrase(text, HELD_TERMS)
        if phrase is None:
            return True
        this = Query.term_query(self.schema, "row_id", row_id, index_option="basic")
        return bool(self._hits(_both(phrase, this), 1))

    def row_ids(self) -> Iterator[list[int]]:
        """The row id of every document, ascending, in pieces of bounded size."""
        start = 0
        while True:
            these = Query.range_query(
                self.schema, "row_id", FieldType.Unsigned, start, start + _LISTED_ROW_IDS - 1
            )
            found = sorted(row_id for row_id, _ in self._hits(these, 2 * _LISTED_ROW_IDS))
            if found:
                yield found
            elif not self._hits(
                Query.range_query(self.schema, "row_id", FieldType.Unsigned, start, None), 1
            ):
                return
            start += _LISTED_ROW_IDS

    def lacking(self, after: int, limit: int) -> list[int]:
        """Row ids above `after` whose text is not here yet, ascending, at most `limit`."""
        these = _both(
            Query.term_query(self.schema, LACKING, TEXT, index_option="basic"),
            Query.range_query(self.schema, "row_id", FieldType.Unsigned, after + 1, None),
        )
        found = self.searcher.search(
            these, limit, count=False, order_by_field="row_id", order=Order.Asc
        )
        return [int(row_id) for row_id, _ in found.hits]

    @property
    def lacking_rows(self) -> int:
        these = Query.term_query(self.schema, LACKING, TEXT, index_option="basic")
        return int(self.searcher.search(these, 1, count=True).count or 0)

    def _within(self, query: Query, filters: CodedFilters) -> Query:
        narrowed = query
        for name, values in filters.plain.allowed():
            terms = [term_of(value) for value in values]
            narrowed = _both(narrowed, Query.term_set_query(self.schema, name, terms))
        if filters.rows is not None:
            these = Query.term_set_query(self.schema, "row_id", filters.rows.array.tolist())
            narrowed = _both(narrowed, these)
        if filters.plain.seen is not None:
            narrowed = within_sight(narrowed, self.schema, filters.plain.seen)
        if filters.since_us is None and filters.until_us is None:
            return narrowed
        # `until` is exclusive; tantivy refuses an open side that is said to be exclusive.
        last = None if filters.until_us is None else filters.until_us - 1
        span = Query.range_query(
            self.schema, "created_us", FieldType.Integer, filters.since_us, last
        )
        return _both(narrowed, span)

    def _top(self, query: Query, k: int) -> list[tuple[int, float]]:
        """tantivy breaks ties by where a row happens to lie, so fetch past a tie at the end.

        Up to 40 k rows; past that the cut is arbitrary, but the same until the next change.
        """
        hits: list[tuple[int, float]] = []
        for limit in (4 * k, _TIED_MAX * k):
            hits = self._hits(query, limit)
            if len(hits) < limit or hits[-1][1] < hits[k - 1][1]:
                break
        return [hit for hit in hits if hit[1] >= hits[min(k, len(hits)) - 1][1]]

    def _hits(self, query: Query, limit: int) -> list[tuple[int, float]]:
        hits = self.searcher.search(query, limit, count=False).hits
        if not hits:
            return []
        row_ids = self._row_ids([address for _, address in hits])
        return [(row_id, score) for row_id, (score, _) in zip(row_ids, hits, strict=True)]

    def _row_ids(self, addresses: Sequence[DocAddress]) -> list[int]:
        return [int(row_id) for row_id in self.searcher.fast_field_values("row_id", addresses)]


def _both(query: Query, narrowing: Query) -> Query:
    """`query` with its scores, only where `narrowing` matches."""
    silent = Query.const_score_query(narrowing, 0.0)
    return Query.boolean_query([(Occur.Must, query), (Occur.Must, silent)])
