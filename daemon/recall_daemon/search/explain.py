"""Every number that went into a hit's score, by name."""

from __future__ import annotations

import math

from recall_daemon.search.fuse import BM25_WEIGHT, MEANING_WEIGHT
from recall_daemon.search.query import SearchRequest
from recall_daemon.search.rank import HALF_LIFE, Ranked


def explain(row: Ranked, request: SearchRequest) -> dict[str, object]:
    """`meaning` and `words` with weight, own part and what neighbours lent; then the factors.

    score = (fused, weighted with recency and importance) + exact. Where a search reads deep, the
    score is no higher than that of the hit before, whatever the parts say.
    """
    weight = {"hybrid": MEANING_WEIGHT, "meaning": 1.0, "words": 0.0}[request.mode]
    weight = weight if row.fused.meaning is not None else 0.0
    return {
        "mode": request.mode,
        "fused": float(row.fused.score[row.at]),
        "meaning": _meaning(row, weight),
        "words": _words(row, 1 - weight),
        "exact": row.exact,
        "recency": _factor(row.factors.recency, request.recency_weight)
        | {"half_life_days": HALF_LIFE.days},
        "importance": _factor(row.factors.importance, request.importance_weight),
        "score": row.score,
    }


def _meaning(row: Ranked, weight: float) -> dict[str, object] | None:
    if row.pool.meaning is None or row.fused.meaning is None:
        return None
    cosine = float(row.pool.meaning[row.at])
    return {
        "weight": weight,
        "cosine": None if math.isnan(cosine) else cosine,
        "normalised": float(row.fused.meaning[row.at]),
        "candidates_average": row.fused.average_meaning,
        "from_neighbours": float(row.fused.lent_meaning[row.at]),
    }


def _words(row: Ranked, weight: float) -> dict[str, object]:
    coverage, at = row.pool.coverage, row.at
    own, held = coverage.holds[at], row.fused.held[at]
    terms = list(zip(coverage.terms, coverage.weights, own, held, strict=True))
    return {
        "weight": weight,
        "bm25": float(row.pool.bm25[at]),
        "bm25_weight": BM25_WEIGHT,
        "normalised": float(row.fused.words[at]),
        "from_neighbours": float(row.fused.words[at] - row.fused.own_words[at]),
        "matched": {term: round(float(idf), 4) for term, idf, has, _ in terms if has},
        "matched_by_neighbours": {
            term: round(float(share), 4) for term, _, has, share in terms if share and not has
        },
        "not_matched": [term for term, _, has, share in terms if not has and not share],
    }


def _factor(factor: float | None, weight: float) -> dict[str, object]:
    return {"weight": weight, "factor": factor if weight else None}
