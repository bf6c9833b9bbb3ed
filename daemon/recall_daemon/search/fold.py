"""Near-duplicates folded into one: the same memory, said by several systems or several times."""

from __future__ import annotations

from collections.abc import Hashable

from recall_daemon.index.view import IndexView
from recall_daemon.search.rank import Stage


def keys(view: IndexView, stage: Stage) -> list[Hashable]:
    """A key for each row: rows with the same key are one hit.

    They have the same text, or their texts have the same words in the same order, whatever the
    case, outer punctuation and articles (`analysis.said_key`). A text whose words are not indexed
    yet (cold) is compared by its hash alone. What was found exactly and what was not stay apart.
    """
    row_ids = stage.row_ids.tolist()
    slots = view.text_slots(row_ids).tolist()
    said = stage.pool.coverage.said[stage.at].tolist()
    said_of_text = {slot: key for slot, key in zip(slots, said, strict=True) if key and slot >= 0}
    return [
        (stage.matches.get(row_id), *_same(row_id, slot, said_of_text.get(slot, key)))
        for row_id, slot, key in zip(row_ids, slots, said, strict=True)
    ]


def _same(row_id: int, slot: int, said: int) -> tuple[str, int]:
    if said:
        return "said", said
    return ("text", slot) if slot >= 0 else ("row", row_id)
