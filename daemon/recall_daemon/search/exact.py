"""Rows that hold what was asked for as it stands: by their id, by the query or an identifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from recall_daemon.index.feed import Texts
from recall_daemon.index.filters import CodedFilters
from recall_daemon.index.view import IndexView
from recall_daemon.search.asked import Asked
from recall_daemon.search.verbatim import holds, normal

PHRASE_POOL_ROWS = 200
IDENTIFIES_MAX_ROWS = 50

BY_ID, VERBATIM, HELD = "id", "verbatim", "identifier"
# What it adds to a score in [0, 1]: such a row is above all that are not.
WORTH = {BY_ID: 2.0, VERBATIM: 1.0, HELD: 1.0}


def exact(view: IndexView, filters: CodedFilters, asked: Asked, texts: Texts) -> dict[int, str]:
    """How each such row matches, by row id: `BY_ID` before `VERBATIM` before `HELD`.

    The index finds candidates by terms; a text that is here is then compared letter by letter
    (whatever the case, spacing and Unicode form). For a cold one the index alone decides. What more
    than `IDENTIFIES_MAX_ROWS` hold identifies none of them, and ranks them as other words do.
    """
    whole = [hit.row_id for hit in view.search_phrase(asked.plain, filters, PHRASE_POOL_ROWS)]
    parts = {}
    for identifier in asked.identifiers:
        held = view.search_holding([identifier], "", filters, IDENTIFIES_MAX_ROWS + 1)
        if len(held) <= IDENTIFIES_MAX_ROWS:
            parts[identifier] = [hit.row_id for hit in held]
    wanted = dict.fromkeys([*whole, *(row_id for held in parts.values() for row_id in held)])
    here = texts.local_texts(list(wanted)) if wanted else {}
    found: dict[int, str] = {}
    for identifier, row_ids in parts.items():
        found |= dict.fromkeys(_holding(here, row_ids, identifier), HELD)
    found |= dict.fromkeys(_holding(here, whole, asked.plain), VERBATIM)
    named = texts.find_ids(asked.ids) if asked.ids else []
    return found | dict.fromkeys(view.passing(named, filters).tolist(), BY_ID)


def _holding(here: Mapping[int, str | None], row_ids: Sequence[int], words: str) -> list[int]:
    wanted = normal(words)
    return [
        row_id
        for row_id in row_ids
        if row_id in here and ((text := here[row_id]) is None or holds(text, wanted))
    ]
