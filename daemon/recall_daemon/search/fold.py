"""Near-duplicates folded into one: the same memory, said by several systems or several times."""

from __future__ import annotations

from collections.abc import Hashable

from recall_daemon.index.view import IndexView
from recall_daemon.search.rank import Stage


def keys(view: IndexView, stage: Stage) -> list[tuple[Hashable, ...]]:
    """The keys of each row, one at least: rows that share one are one hit.

    They have the same text, or their texts have the same words in the same order, whatever the
    case, outer punctuation and articles (`analysis.said_key`). A text whose words are not indexed
    yet (cold) has only its hash. What was found exactly and what was not stay apart.
    """
    row_ids = stage.row_ids.tolist()
    said = stage.pool.coverage.said[stage.at].tolist()
    found: list[tuple[Hashable, ...]] = []
    for row_id, text, key in zip(row_ids, view.text_keys(row_ids), said, strict=True):
        kind = stage.matches.get(row_id)
        own: list[Hashable] = []
        if key:
            own.append((kind, "said", key))
        if text is not None:
            own.append((kind, text))
        found.append(tuple(own) or ((kind, row_id),))
    return found
