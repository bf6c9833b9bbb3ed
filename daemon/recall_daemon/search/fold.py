"""Near-duplicates folded into one: the same memory, said by several systems or several times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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


def fold(view: IndexView, ranked: Sequence[Ranked], texts: Texts) -> list[list[Ranked]]:
    """Groups, in the order of their best row; the best comes first in each.

    Rows with the same text are one. So are rows near in meaning whose texts have the same words in
    the same order, whatever the case, outer punctuation and articles. A text that is not here
    (cold) is compared by its hash alone. What was found exactly and what was not stay apart.
    """
    if len(ranked) < 2:
        return [[row] for row in ranked]
    row_ids = [row.row_id for row in ranked]
    same = _same_text(view, row_ids)
    near = _near(view, row_ids)
    near &= ~same
    kinds = np.unique([row.exact or "" for row in ranked], return_inverse=True)[1]
    alike = np.equal.outer(kinds, kinds)
    same &= alike
    near &= alike
    said = _said(texts, [row_ids[at] for at in np.flatnonzero(near.any(axis=1))])
    return _groups(ranked, same, near, said)


def _groups(
    ranked: Sequence[Ranked],
    same: Flags,
    near: Flags,
    said: Mapping[int, list[str]],
) -> list[list[Ranked]]:
    taken = np.zeros(len(ranked), dtype=np.bool_)
    related: Flags = np.any(np.logical_or(same, near), axis=1)
    groups = []
    for at, row in enumerate(ranked):
        if taken[at]:
            continue
        group = [row]
        others = np.flatnonzero((same[at] | near[at]) & ~taken).tolist() if related[at] else []
        for other in others:
            words = said.get(ranked[other].row_id)
            if same[at, other] or (words is not None and words == said.get(row.row_id)):
                group.append(ranked[other])
                taken[other] = True
        taken[at] = True
        groups.append(group)
    return groups


def _same_text(view: IndexView, row_ids: Sequence[int]) -> Flags:
    numbers = np.asarray(list(view.same_text(row_ids).values()))
    same: Flags = np.equal.outer(numbers, numbers)
    same &= (numbers >= 0)[:, None]
    np.fill_diagonal(same, False)
    return same


def _near(view: IndexView, row_ids: Sequence[int]) -> Flags:
    near = np.zeros((len(row_ids), len(row_ids)), dtype=np.bool_)
    vectors = view.vectors_of(row_ids)
    have = [at for at, row_id in enumerate(row_ids) if row_id in vectors]
    if have:
        matrix = np.stack([vectors[row_ids[at]] for at in have])
        near[np.ix_(have, have)] = matrix @ matrix.T >= NEAR_COSINE
        np.fill_diagonal(near, False)
    return near


def _said(texts: Texts, row_ids: Sequence[int]) -> dict[int, list[str]]:
    found = texts.local_texts(row_ids) if row_ids else {}
    return {row_id: telling_words(text) for row_id, text in found.items() if text is not None}


def telling_words(text: str) -> list[str]:
    """The words that must agree, in their order."""
    bare = (word.strip(_EDGES) for word in composed(text).casefold().split())
    return [word for word in bare if word and word not in _IDLE]
