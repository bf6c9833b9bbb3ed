"""Near-duplicates folded into one: the same memory, said by several systems or several times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from recall_daemon.index.analysis import composed
from recall_daemon.index.feed import Texts
from recall_daemon.index.view import IndexView
from recall_daemon.search.rank import Ranked

Flags = npt.NDArray[np.bool_]

# A look at the words is dear, so only texts that mean nearly the same get one.
NEAR_COSINE = 0.97
# Words that change nothing. Everything else does: "not", "may", "to" and "from", "is" and "was",
# a name, a number, its sign.
_IDLE = frozenset(("a", "an", "the", "this", "that", "these", "those"))
_EDGES = ".,;:!\"'`()[]{}*_\u2026\u201c\u201d\u2018\u2019"


def fold(
    view: IndexView, ranked: Sequence[Ranked], texts: Texts, count: int
) -> tuple[list[list[Ranked]], list[Ranked]]:
    """At least `count` groups, if there are so many, and the rows that are in none of them yet.

    Groups go in the order of their best row; the best comes first in each. Rows with the same text
    are one. So are rows near in meaning whose texts have the same words in the same order, whatever
    the case, outer punctuation and articles. A text that is not here (cold) is compared by its hash
    alone. What was found exactly and what was not stay apart.
    """
    groups: list[list[Ranked]] = []
    rest = list(ranked)
    while rest and len(groups) < count:
        some, rest = _fold_first(view, rest, texts, max(count - len(groups), 1))
        groups += some
    return groups, rest


def join(
    view: IndexView, heads: Sequence[Ranked], ranked: Sequence[Ranked], texts: Texts
) -> tuple[list[list[Ranked]], list[Ranked]]:
    """For each head the rows that are one hit with it, and the rows that are none's."""
    groups, rest = _fold_first(view, [*heads, *ranked], texts, len(heads))
    joined = {group[0].row_id: group[1:] for group in groups}
    # Heads whose texts have become the same since stay the hits that somebody was shown.
    known = {head.row_id for head in heads}
    return [
        [row for row in joined.get(head.row_id, ()) if row.row_id not in known] for head in heads
    ], rest


def _fold_first(
    view: IndexView, ranked: list[Ranked], texts: Texts, heads: int
) -> tuple[list[list[Ranked]], list[Ranked]]:
    """The groups of the first `heads` rows, and all other rows that are in none of them."""
    row_ids = [row.row_id for row in ranked]
    alike = _alike(ranked, heads)
    same: Flags = _same_text(view, row_ids, heads) & alike
    near: Flags = _near(view, row_ids, heads) & alike & ~same
    related = np.logical_or(same, near)
    compared: Flags = np.asarray(near.any(axis=0))
    compared[:heads] |= near.any(axis=1)
    said = _said(texts, [row_ids[at] for at in np.flatnonzero(compared)])
    taken = np.zeros(len(ranked), dtype=np.bool_)
    groups = []
    for at, row in enumerate(ranked[:heads]):
        if taken[at]:
            continue
        group = [row]
        words = said.get(row.row_id)
        for other in np.flatnonzero(related[at] & ~taken).tolist():
            if same[at, other] or (words is not None and words == said.get(row_ids[other])):
                group.append(ranked[other])
                taken[other] = True
        taken[at] = True
        groups.append(group)
    return groups, [row for row, has in zip(ranked, taken.tolist(), strict=True) if not has]


def _alike(ranked: Sequence[Ranked], heads: int) -> Flags:
    """bool[heads, rows]: another row, found as exactly as the head."""
    kinds = np.unique([row.exact or "" for row in ranked], return_inverse=True)[1]
    alike: Flags = np.asarray(np.equal.outer(kinds[:heads], kinds))
    np.fill_diagonal(alike, False)
    return alike


def _same_text(view: IndexView, row_ids: Sequence[int], heads: int) -> Flags:
    numbers = np.asarray(list(view.same_text(row_ids).values()))
    same: Flags = np.equal.outer(numbers[:heads], numbers)
    same &= (numbers[:heads] >= 0)[:, None]
    return same


def _near(view: IndexView, row_ids: Sequence[int], heads: int) -> Flags:
    near = np.zeros((min(heads, len(row_ids)), len(row_ids)), dtype=np.bool_)
    have, vectors = view.beginnings(row_ids)
    first = int(np.searchsorted(have, len(near)))
    near[np.ix_(have[:first], have)] = vectors[:first] @ vectors.T >= NEAR_COSINE
    return near


def _said(texts: Texts, row_ids: Sequence[int]) -> dict[int, list[str]]:
    found = texts.local_texts(row_ids) if row_ids else {}
    return {row_id: telling_words(text) for row_id, text in found.items() if text is not None}


def telling_words(text: str) -> list[str]:
    """The words that must agree, in their order."""
    bare = (word.strip(_EDGES) for word in composed(text).casefold().split())
    return [word for word in bare if word and word not in _IDLE]
