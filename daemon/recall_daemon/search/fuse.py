"""Meaning and words into one score: a convex combination of cosine and normalised BM25.

On 495 questions over 1,451 turns of public long-conversation data, recall@10 was: meaning 0.477,
words 0.564, reciprocal-rank fusion 0.591, this 0.639. It is flat around the chosen weight (0.4 to
0.7: 0.626, 0.635, 0.639, 0.638). Every candidate gets both scores, also the one its own list had
cut off: without that it was 0.623.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

MEANING_WEIGHT = 0.6


def fuse(
    row_ids: Sequence[int], meanings: Mapping[int, float] | None, words: Mapping[int, float]
) -> list[float]:
    """Each candidate's score in [0, 1]. `meanings` None: by words alone.

    BM25 has no upper bound, so it is divided by the best one here. A row whose vector has not been
    made yet is taken to be as near in meaning as the candidates are on average: that nobody has
    looked is no reason to rank it last.
    """
    best = max(words.values(), default=0.0) or 1.0
    by_words = [words.get(row_id, 0.0) / best for row_id in row_ids]
    if meanings is None:
        return by_words
    near = {row_id: min(max(cosine, 0.0), 1.0) for row_id, cosine in meanings.items()}
    unknown = sum(near.values()) / len(near) if near else 0.0
    return [
        MEANING_WEIGHT * near.get(row_id, unknown) + (1 - MEANING_WEIGHT) * score
        for row_id, score in zip(row_ids, by_words, strict=True)
    ]
