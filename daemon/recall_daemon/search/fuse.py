"""Words and meaning of a row and of the turns around it, into one score.

    score   = 1/2 meaning + 1/2 words                                          each in [0, 1]
    meaning = cosine + sum over neighbours of lent(distance) * (what its cosine has above average)
    words   = share of the query's terms, weighted by idf, that the row holds; a term that only a
              neighbour holds counts lent(distance) of that
    lent    = 1/2 for the turn before and after, 1/4 for the next ones

An answer rarely repeats the question's words: they stand in the turn before it. A neighbour lends,
and takes nothing away, so a memory without a session has its own score. What a neighbour's cosine
has above that of the average candidate says something; the rest any row of the store has.

Terms are counted, not their frequency: over short memories BM25 mostly prefers the shortest. A long
text holds every common word somewhere: there a term counts as far as its being there is no chance.
A twentieth of `words` is BM25 itself, which tells rows apart that hold the same terms. Figures:
`bench/retrieval.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recall_daemon.search.pool import Floats, Places, Pool
from recall_daemon.search.query import Mode

MEANING_WEIGHT = 0.5
LENT = (0.5, 0.25)
BM25_WEIGHT = 0.05
_LONG_TEXT = 2.0


@dataclass(frozen=True, slots=True)
class Fused:
    """By position in the pool: the score, and the parts it was made of; all float64.

    `held` is float64[rows, terms]: 1 where the row holds the term itself, what a neighbour lent
    where it does not. `words` has the parts `own_words` and what neighbours lent.
    """

    score: Floats
    meaning: Floats | None
    lent_meaning: Floats
    average_meaning: float
    words: Floats
    own_words: Floats
    held: Floats


def fuse(pool: Pool, mode: Mode) -> Fused:
    """`words` and `meaning` rank by one of them alone, plainly: by BM25, by cosine.

    A row whose vector has not been made yet is taken to be as near in meaning as the candidates are
    on average: that nobody has looked is no reason to rank it last.
    """
    distances = _distances(pool.next) if mode == "hybrid" else []
    average = _average(pool)
    own_words, words, held = _words(pool, distances)
    near, lent = _meaning(pool, distances, average)
    if mode == "words" or near is None:
        score = _relative(pool.bm25) if mode == "words" else words
    elif mode == "meaning":
        score = near
    else:
        score = MEANING_WEIGHT * np.minimum(near + lent, 1) + (1 - MEANING_WEIGHT) * words
    return Fused(score, near, lent, average, words, own_words, held)


def _average(pool: Pool) -> float:
    if pool.meaning is None:
        return 0.0
    known = pool.meaning[pool.found & ~np.isnan(pool.meaning)]
    return float(known.mean()) if len(known) else 0.0


def _distances(following: Places) -> list[tuple[float, Places]]:
    """What is lent over each distance, and which position lies there, -1 for none: both ways."""
    before = np.full_like(following, -1)
    before[following[following >= 0]] = np.flatnonzero(following >= 0)
    steps: list[tuple[float, Places]] = []
    for one in (following, before):
        reached = np.arange(len(one))
        for lent in LENT:
            reached = _at(one, reached)
            steps.append((lent, reached))
    return steps


def _at(values: Places, places: Places) -> Places:
    return np.where(places >= 0, values[np.maximum(places, 0)], -1)


def _meaning(
    pool: Pool, distances: list[tuple[float, Places]], average: float
) -> tuple[Floats | None, Floats]:
    lent = np.zeros(len(pool))
    if pool.meaning is None:
        return None, lent
    cosines = np.where(np.isnan(pool.meaning), average, pool.meaning)
    above = np.maximum(cosines - average, 0)
    for share, places in distances:
        lent += share * np.where(places >= 0, above[np.maximum(places, 0)], 0)
    return np.clip(cosines, 0, 1), lent


def _words(pool: Pool, distances: list[tuple[float, Places]]) -> tuple[Floats, Floats, Floats]:
    """The rows' own words, those together with what was lent, and how each term is held."""
    weights, own = pool.coverage.weights, pool.coverage.holds.astype(np.float64)
    worth = own @ weights
    own *= _told(pool, worth)
    held = own.copy()
    for share, places in distances:
        lent = np.where((places >= 0)[:, None], own[np.maximum(places, 0)], 0)
        np.maximum(held, share * lent, out=held)
    best = weights.sum() or 1.0
    bm25 = BM25_WEIGHT * _relative(pool.bm25)
    rest = (1 - BM25_WEIGHT) / best
    return rest * (own @ weights) + bm25, rest * (held @ weights) + bm25, held


def _told(pool: Pool, worth: Floats) -> Floats:
    """What it tells that a row holds a term, in [0, 1]; of shape (rows, terms).

    A text of n passages holds by mere chance what one of n texts holds: (1 - share) ** (n - 1) is
    how likely it is that n - 1 of them do not, `share` being that of all rows that have the term.
    Where the passages are not known, a text counts less that BM25 gives less than half of its
    terms' idf; a row that the words did not find has at most the BM25 of the last that they found.
    """
    share = np.exp(-pool.coverage.weights)
    by_length = (1 - share)[None, :] ** np.maximum(pool.passages - 1, 0)[:, None]
    found = pool.bm25[pool.bm25 > 0]
    known = np.where(pool.bm25 > 0, pool.bm25, found.min() if len(found) else 0.0)
    by_bm25 = np.minimum(1, _LONG_TEXT * known / np.maximum(worth, 1e-9))
    return np.where((pool.passages > 0)[:, None], by_length, by_bm25[:, None])


def _relative(bm25: Floats) -> Floats:
    return bm25 / (bm25.max(initial=0.0) or 1.0)
