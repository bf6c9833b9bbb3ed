"""A query's words, and what each is worth among the rows of one moment."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from tantivy import Occur, Query, Schema, Searcher, TextAnalyzer

from recall_daemon.index.analysis import composed, humps, units

QUERY_MAX_TERMS = 64
# A float32 score tells 24 bits apart.
COVERAGE_MAX_TERMS = 20
_UNITS_MAX = 32
# Of that many rows and more, a term that this share of them holds has an idf below 1.3.
COMMON_MIN_ROWS = 10_000
COMMON_SHARE = 0.3


class Telling(NamedTuple):
    """A term, or a unit of some, that a row has."""

    name: str
    idf: float
    query: Query


@dataclass(frozen=True, slots=True)
class QueryWords:
    """A query, read once for all searches that ask by it.

    `any`: rows that hold any of the words; None for a query without. `telling`: the terms and units
    that some row has, those that tell most first.
    """

    any: Query | None
    telling: list[Telling]

    @classmethod
    def of(
        cls, query: str, searcher: Searcher, schema: Schema, analyzer: TextAnalyzer
    ) -> QueryWords:
        read = _Reader(composed(query), searcher, schema, analyzer)
        return cls(read.any(), read.telling())


class _Reader:
    """Looks each term up once.

    Leaves out the terms that so many rows hold that they tell next to nothing of any: they take
    seven eighths of a search's time at 1,000,000 rows. Where nothing else is held by any row, and
    among few rows, they stay.
    """

    def __init__(
        self, plain: str, searcher: Searcher, schema: Schema, analyzer: TextAnalyzer
    ) -> None:
        self._schema = schema
        self._total = int(searcher.num_docs)
        # Each unit with its terms.
        self._units = [(unit, analyzer.analyze(unit)) for unit in units(plain)[:_UNITS_MAX]]
        terms = dict.fromkeys(analyzer.analyze(f"{plain} {humps(plain)}"))
        parts = dict.fromkeys(part for _, own in self._units for part in own)
        self._rows = {term: int(searcher.doc_freq("text", term)) for term in terms | parts}
        self._terms = self._without_common(list(terms))

    def any(self) -> Query | None:
        clauses = [word(self._schema, term) for term in self._rarest()]
        # tantivy panics on a phrase of a single term.
        clauses += [self._phrase(terms) for _, terms in self._units if len(terms) > 1]
        return any_of(clauses) if clauses else None

    def telling(self) -> list[Telling]:
        found = [
            Telling(term, self._idf(term), word(self._schema, term))
            for term in self._terms
            if self._rows[term]
        ]
        for unit, parts in self._units:
            if len(parts) > 1 and all(self._rows[part] for part in parts):
                idf = sum(self._idf(part) for part in parts)
                found.append(Telling(unit, idf, self._phrase(parts)))
        return sorted(found, key=lambda one: -one.idf)[:COVERAGE_MAX_TERMS]

    def _without_common(self, terms: list[str]) -> list[str]:
        if self._total < COMMON_MIN_ROWS:
            return terms
        rest = [term for term in terms if self._rows[term] <= COMMON_SHARE * self._total]
        return rest if any(self._rows[term] for term in rest) else terms

    def _rarest(self) -> list[str]:
        """Of a long query the rarest terms say most; their order is the query's."""
        if len(self._terms) <= QUERY_MAX_TERMS:
            return self._terms
        found = [term for term in self._terms if self._rows[term]]
        return sorted(found, key=lambda term: self._rows[term])[:QUERY_MAX_TERMS]

    def _idf(self, term: str) -> float:
        """BM25's, of a term that some row has."""
        rows = self._rows[term]
        return math.log1p((self._total - rows + 0.5) / (rows + 0.5))

    def _phrase(self, terms: list[str]) -> Query:
        return Query.phrase_query(self._schema, "text", terms)


def word(schema: Schema, term: str) -> Query:
    # Not "position": a term query needs none, and reading them costs time.
    return Query.term_query(schema, "text", term, index_option="freq")


def any_of(clauses: list[Query]) -> Query:
    return Query.boolean_query([(Occur.Should, clause) for clause in clauses])
