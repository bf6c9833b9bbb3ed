"""Near-duplicates folded into one: the same memory, said by several systems or several times."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from recall_daemon.index.view import IndexView
from recall_daemon.search.rank import Ranked


def keys(view: IndexView, ranked: Sequence[Ranked]) -> list[Hashable]:
    """A key for each row of one pool: rows with the same key are one hit.

    They have the same text, or their texts have the same words in the same order, whatever the
    case, outer punctuation and articles (`analysis.said_key`). A text whose words are not indexed
    yet (cold) is compared by its hash alone. What was found exactly and what was not stay apart.
    """
    slots = view.text_slots([row.row_id for row in ranked]).tolist()
    said = [int(row.pool.coverage.said[row.at]) for row in ranked]
    said_of_text = {slot: key for slot, key in zip(slots, said, strict=True) if key and slot >= 0}
    return [
        (row.exact, *_same(row.row_id, slot, said_of_text.get(slot, key)))
        for row, slot, key in zip(ranked, slots, said, strict=True)
    ]


def _same(row_id: int, slot: int, said: int) -> tuple[str, int]:
    if said:
        return "said", said
    return ("text", slot) if slot >= 0 else ("row", row_id)
