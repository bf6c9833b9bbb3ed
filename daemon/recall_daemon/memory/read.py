"""Memories read one by one: by name, the newest, and what is related to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from recall_daemon.errors import MemoryNotFound
from recall_daemon.index.filters import NO_FILTERS, CodedFilters, Filters
from recall_daemon.index.follower import Index
from recall_daemon.index.seen import RowIds
from recall_daemon.index.view import IndexView
from recall_daemon.memory.cursor import cursor_of, mark_of
from recall_daemon.search.query import QueryInvalid
from recall_daemon.search.reach import EVERYTHING, Reach, Told
from recall_daemon.store import ledger, showing
from recall_daemon.store.cold_files import ColdPlace
from recall_daemon.store.ledger import Place
from recall_daemon.store.showing import Memory
from recall_daemon.store.store import Connection, Store
from recall_daemon.tiers.fetch import ColdTexts, FarContent, text_missing
from recall_wire.errors import RecallError
from recall_wire.formats.values import dump_json, load_json

Json = dict[str, Any]

LIMIT_MAX = 100
LIMIT = 10
# Of each text in a list, so that 100 of 4 MiB are not one answer; `get` has all of it.
LIST_TEXT_CHARS = 20_000
# Turns on either side, and passages of a long text that are compared with all others.
TURNS = 5
PASSAGES = 8
# A name that no memory has: what may not be seen is looked for as what is not there.
_NOBODY = "\0"
_READ_CHARS = LIST_TEXT_CHARS + 1
_FEW_ROWS = 5_000
_BRIEF = (
    *("system_id", "memory_id", "kind", "text", "project", "session_id", "created_at", "tier"),
    *("agent_id", "seq", "tags", "importance", "summary", "text_missing"),
)


class Memories:
    """Blocking; safe from many threads. Read-only.

    `reach` is what the caller may see: nothing else is shown, counted, or told from what is absent.
    """

    def __init__(self, store: Store, index: Index, far: ColdTexts) -> None:
        self._store = store
        self._index = index
        self._far = far

    def get(self, system_id: str, memory_id: str, reach: Reach = EVERYTHING) -> Json:
        """All there is of a memory: its fields, and the snapshot or post that it came with.

        `text` and `metadata` of a cold one are fetched from the bucket; where that fails they are
        null and `text_missing` says why. Raises `MemoryNotFound`, also for what is out of reach.
        """
        memory = self._find(system_id, memory_id, reach.fixed())
        reach.note(_read([memory]))
        with self._store.look_up() as connection:
            entry = ledger.find(connection, Place(memory.system_id, memory.seq, memory.sub))
        told = self._told([memory])[0]
        came = entry and {
            "origin": entry.origin,
            "kind": entry.kind,
            "created_at": _plain(entry.created_at),
            "settled_at": _plain(entry.settled_at),
        }
        return {**told, "metadata": _object(told["metadata"]), "snapshot": came}

    def recent(
        self,
        filters: Filters = NO_FILTERS,
        limit: int = LIMIT,
        cursor: str | None = None,
        reach: Reach = EVERYTHING,
    ) -> Json:
        """`{memories, next_cursor}`: newest first by `created_at`, those without a time last.

        Of a text the first `LIST_TEXT_CHARS` characters; where there are more `text_cut` is true.
        `next_cursor` is None after the last. Pages neither overlap nor skip what was there before
        the first. Raises `QueryInvalid`.
        """
        _check_limit(limit)
        after = None if cursor is None else mark_of(cursor)
        narrowed = reach.narrowed(filters)
        if narrowed is None:
            return {"memories": [], "next_cursor": None}
        tagged = self._index.rows_tagged(narrowed, _FEW_ROWS)
        with self._store.look_up() as connection:
            few = _few(connection, narrowed, tagged)
            found = showing.newest(connection, few, after, limit + 1, text_chars=_READ_CHARS)
        page = found[:limit]
        reach.note(_read(page))
        more = len(found) > limit
        return {
            "memories": [_brief(told) for told in self._told(page)],
            "next_cursor": cursor_of(page[-1]) if more else None,
        }

    def related(
        self,
        system_id: str,
        memory_id: str,
        limit: int = LIMIT,
        reach: Reach = EVERYTHING,
        filters: Filters = NO_FILTERS,
    ) -> Json:
        """`{system_id, memory_id, embedded, before, after, nearest: [{…, score}]}`.

        The turns of its session that pass, at most `TURNS` on either side in their order; and of
        all that pass the nearest by meaning, each text once and its own left out. `score` is the
        cosine of the closest passages. `embedded`: its own vector is there; without it `nearest` is
        empty. Raises `MemoryNotFound`, also for what is out of reach, and `QueryInvalid`.
        """
        _check_limit(limit)
        reach = reach.fixed()
        memory = self._find(system_id, memory_id, reach)
        around = _Around(self._index, memory.row_id, reach.narrowed(filters))
        scores = around.nearest(limit)
        before, after = around.turns()
        told = self._told_of([*before, *after, *scores], reach)
        return {
            "system_id": memory.system_id,
            "memory_id": memory.memory_id,
            "embedded": around.is_embedded,
            "before": [told[row_id] for row_id in before if row_id in told],
            "after": [told[row_id] for row_id in after if row_id in told],
            "nearest": [
                {**told[row_id], "score": score}
                for row_id, score in scores.items()
                if row_id in told
            ],
        }

    def _find(self, system_id: str, memory_id: str, reach: Reach) -> Memory:
        """A text is read only of what may be seen, so that its length tells nobody anything."""
        name = (system_id, memory_id) if reach.holds_system(system_id) else (_NOBODY, _NOBODY)
        with self._store.look_up() as connection:
            row_id = showing.row_id_of(connection, *name, reach.projects, reach.seen)
            found = [] if row_id is None else showing.by_row_ids(connection, [row_id])
        if not found or not reach.shows(found[0].row_id, found[0]):
            raise MemoryNotFound(
                "there is no such memory, or none that you may see",
                hint="`GET /v1/memories` lists what there is",
            )
        return found[0]

    def _told_of(self, row_ids: Sequence[int], reach: Reach) -> dict[int, Json]:
        """By row id; one that has changed may be of another project by now, and out of reach."""
        with self._store.look_up() as connection:
            found = showing.by_row_ids(
                connection, list(dict.fromkeys(row_ids)), text_chars=_READ_CHARS
            )
        seen = [one for one in found if reach.shows(one.row_id, one)]
        reach.note(_read(seen))
        told = zip(seen, self._told(seen), strict=True)
        return {memory.row_id: _brief(one) for memory, one in told}

    def _told(self, memories: Sequence[Memory]) -> list[Json]:
        far = self._far.contents(
            [
                ColdPlace(memory.row_id, memory.cold_file, memory.cold_row)
                for memory in memories
                if memory.cold_file is not None and memory.cold_row is not None
            ]
        )
        return [_json(memory, far.get(memory.row_id)) for memory in memories]


def _read(memories: Sequence[Memory]) -> list[Told]:
    return [Told(one.system_id, one.memory_id, one.agent_id) for one in memories]


def _few(connection: Connection, filters: Filters, tagged: tuple[list[int], int] | None) -> Filters:
    """The filters with the rows alone that can pass, where the index knows them to be few: to read
    every row's tags takes a hundred times as long.

    What has changed since the index looked is looked at, too, so that a memory is listed as soon as
    it is stored.
    """
    if tagged is None or filters.rows is not None:
        return filters
    row_ids, change_no = tagged
    since = showing.changed_since(connection, change_no, _FEW_ROWS)
    return filters if since is None else replace(filters, rows=RowIds([*row_ids, *since]))


class _Around:
    """What one view of the index has near a row; nothing while it does not have the row yet."""

    def __init__(self, index: Index, row_id: int, filters: Filters | None) -> None:
        self._row_id = row_id
        self._view, self._filters = index.view_for(filters or NO_FILTERS)
        if filters is None:
            self._filters = None
        known = len(self._view.passing([row_id], CodedFilters())) > 0
        passages = self._view.passages_of([row_id]) if known else {}
        self._passages = passages.get(row_id)
        self._is_known = known

    @property
    def is_embedded(self) -> bool:
        return self._passages is not None

    def turns(self) -> tuple[list[int], list[int]]:
        if self._filters is None or not self._is_known:
            return [], []
        window = self._view.around([self._row_id], TURNS)[0]
        passing = set(self._view.passing(window, self._filters).tolist())
        before, after = window[:TURNS].tolist(), window[TURNS + 1 :].tolist()
        return [one for one in before if one in passing], [one for one in after if one in passing]

    def nearest(self, limit: int) -> dict[int, float]:
        """Row ids with their scores, best first."""
        if self._filters is None or self._passages is None:
            return {}
        scores: dict[int, float] = {}
        for vector in self._passages[:PASSAGES]:
            for row_id, score in self._view.search_vectors(
                vector, self._filters, limit + 1, copies=1
            ):
                scores[row_id] = max(score, scores.get(row_id, -1.0))
        return _best_others(self._view, self._row_id, scores, limit)


def _best_others(
    view: IndexView, row_id: int, scores: dict[int, float], limit: int
) -> dict[int, float]:
    """Without those that say the same as the row."""
    slots = view.text_slots([row_id, *scores])
    others = [one for one, slot in zip(scores, slots[1:], strict=True) if slot != slots[0]]
    order = view.order(others, np.asarray([scores[one] for one in others]))[:limit]
    return {others[at]: round(scores[others[at]], 6) for at in order.tolist()}


def _json(memory: Memory, far: FarContent | RecallError | None) -> Json:
    missing = None
    if isinstance(far, FarContent):
        memory = replace(memory, text=far.text, metadata=far.metadata)
    elif far is not None:
        missing = text_missing(far)
    return {
        **{name: _plain(getattr(memory, name)) for name in _SHOWN},
        "tags": list(memory.tags or ()),
        "metadata": memory.metadata,
        "text_missing": missing,
    }


_SHOWN = tuple(
    name
    for name in Memory.__dataclass_fields__
    if name not in ("row_id", "cold_file", "cold_row", "tags", "metadata")
)


def _brief(told: Json) -> Json:
    """As a list shows it: `text_cut` says that the text goes on."""
    brief = {name: told[name] for name in _BRIEF}
    text = told["text"]
    if text is None or len(text) <= LIST_TEXT_CHARS:
        return {**brief, "text_cut": False}
    return {**brief, "text": text[:LIST_TEXT_CHARS], "text_cut": True}


def _object(metadata: str | None) -> object:
    """As JSON can hold it: a snapshot may bring NaN, lone surrogates, or no JSON at all."""
    loaded = None if metadata is None else load_json(metadata)
    return metadata if loaded is None else load_json(dump_json(loaded))


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return round(value, 6) if isinstance(value, float) else value


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= LIMIT_MAX:
        raise QueryInvalid(f"limit is {limit}; 1 to {LIMIT_MAX} are allowed")
