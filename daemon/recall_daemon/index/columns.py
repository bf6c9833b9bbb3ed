"""The filterable fields of every row, as numpy columns by ordinal.

A version of a row is one ordinal and is never changed: an update appends a new ordinal and marks
the old one dead. So a view that was taken before stays exactly what it was. Memory is about
60 bytes a row plus 8 a tag; dead ordinals are squeezed out when they outnumber the live ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recall_daemon.index.filters import CodedFilters, Filters, microseconds
from recall_daemon.index.growable import Array, Growable

NO_TIME = np.iinfo(np.int64).min
FIELDS = {
    "system": "system_id",
    "project": "project",
    "kind": "kind",
    "session": "session_id",
    "agent": "agent_id",
    "user": "user_id",
    "namespace": "namespace",
}
_COMPACT_MIN_DEAD = 10_000


class Codes:
    """Strings as small numbers, given out in the order they are first seen."""

    def __init__(self) -> None:
        self._code_of: dict[str, int] = {}

    def encode(self, values: Sequence[str | None]) -> list[int]:
        """-1 for None."""
        codes = self._code_of
        return [-1 if value is None else codes.setdefault(value, len(codes)) for value in values]

    def known(self, values: Sequence[str]) -> tuple[int, ...]:
        """The codes of those values that any row ever had."""
        return tuple(sorted({self._code_of[value] for value in values if value in self._code_of}))


@dataclass(frozen=True, slots=True)
class CodedRows:
    """The fields of one batch of live rows, in codes."""

    row_id: Array
    change_no: Array
    slot: Array
    created_us: Array
    fields: dict[str, list[int]]
    tags: list[list[int]]


@dataclass(frozen=True, slots=True)
class ColumnsView:
    """The columns as they were at one moment. Arrays are by ordinal, `ordinal_of` by row id."""

    row_id: Array
    slot: Array
    created_us: Array
    fields: dict[str, Array]
    tag_ordinal: Array
    tag_code: Array
    live: Array
    ordinal_of: Array

    def mask(self, filters: CodedFilters) -> Array:
        """Which ordinals are live and pass."""
        mask = self.live.copy()
        for name, codes in filters.allowed:
            mask &= self._tagged(codes) if name == "tag" else _among(self.fields[name], codes)
        if filters.since_us is not None or filters.until_us is not None:
            mask &= self.created_us != NO_TIME
        if filters.since_us is not None:
            mask &= self.created_us >= filters.since_us
        if filters.until_us is not None:
            mask &= self.created_us < filters.until_us
        return mask

    def passing(self, row_ids: Sequence[int], filters: CodedFilters) -> list[int]:
        """Those of the rows that are live here and pass, in their order; any row id may be asked.

        Costs next to nothing for a few hundred rows, however many the index has.
        """
        asked = np.asarray(row_ids, dtype=np.int64)
        known = asked[(asked >= 0) & (asked < len(self.ordinal_of))]
        ordinals = self.ordinal_of[known]
        known, ordinals = known[ordinals >= 0], ordinals[ordinals >= 0]
        some = replace(
            self,
            created_us=self.created_us[ordinals],
            fields={
                name: self.fields[name][ordinals] for name, _ in filters.allowed if name != "tag"
            },
            live=self.live[ordinals],
        )
        passes = some.mask(replace(filters, allowed=_without_tags(filters)))
        for name, codes in filters.allowed:
            if name == "tag":
                passes &= self._tagged(codes)[ordinals]
        return [int(row_id) for row_id in known[passes]]

    def _tagged(self, codes: tuple[int, ...]) -> Array:
        tagged = np.zeros(len(self.live), dtype=np.bool_)
        tagged[self.tag_ordinal[_among(self.tag_code, codes)]] = True
        return tagged

    def ordinals(self, row_ids: Sequence[int]) -> Array:
        """The ordinal of each row id. Raises IndexError for a row this view never had."""
        return self.ordinal_of[np.asarray(row_ids, dtype=np.int64)]

    def beside(self, row_id: int, n: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The live rows before and after a row in its session, nearest first, `n` each at most."""
        own = int(self.ordinals([row_id])[0])
        system, session = self.fields["system"], self.fields["session"]
        if session[own] < 0:
            return (), ()
        same = np.flatnonzero((session == session[own]) & (system == system[own]) & self.live)
        order = same[np.lexsort((self.row_id[same], self.created_us[same]))]
        at = int(np.flatnonzero(order == own)[0])
        before = self.row_id[order[max(at - n, 0) : at]][::-1]
        after = self.row_id[order[at + 1 : at + 1 + n]]
        return tuple(before.tolist()), tuple(after.tolist())

    def newest_first(self, ordinals: Array, scores: Array) -> Array:
        """The order by score, then newest, then row id: the same whatever the order of arrival."""
        keys = (self.row_id[ordinals], -self.created_us[ordinals].astype(np.float64), -scores)
        return np.lexsort(keys)


def _without_tags(filters: CodedFilters) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return tuple(allowed for allowed in filters.allowed if allowed[0] != "tag")


def _among(values: Array, codes: tuple[int, ...]) -> Array:
    if len(codes) == 1:
        return np.asarray(values == codes[0])
    return np.isin(values, np.asarray(codes, dtype=values.dtype))


class Columns:
    """The writing side. One thread only."""

    def __init__(self) -> None:
        self._codes = {name: Codes() for name in (*FIELDS, "tag")}
        self._change_of = Growable(np.int64)
        self._ordinal_of = Growable(np.int32, fill=-1)
        self._begin()

    def _begin(self) -> None:
        self._row_id = Growable(np.int64)
        self._slot = Growable(np.int32)
        self._created_us = Growable(np.int64)
        self._fields = {name: Growable(np.int32) for name in FIELDS}
        self._tag_ordinal = Growable(np.int32)
        self._tag_code = Growable(np.int32)
        self._live = Growable(np.bool_)
        self._dead = 0

    @property
    def live_rows(self) -> int:
        return len(self._row_id) - self._dead

    def held(self) -> tuple[Array, Array]:
        """The row ids that have a live version, and the change_no of each."""
        row_ids = self._row_id.view[self._live.view]
        return row_ids, self._change_of.view[row_ids]

    def is_new(self, row_ids: Array, change_nos: Array) -> Array:
        """Which changes were not applied yet; of several of one row only the last counts."""
        self._change_of.resize(int(row_ids.max(initial=0)) + 1)
        self._ordinal_of.resize(len(self._change_of))
        order = np.lexsort((change_nos, row_ids))
        last = np.ones(len(order), dtype=np.bool_)
        last[:-1] = row_ids[order][1:] != row_ids[order][:-1]
        new = np.zeros(len(order), dtype=np.bool_)
        new[order[last]] = True
        return np.asarray(new & (change_nos > self._change_of.view[row_ids]))

    def present(self, row_ids: Array) -> Array:
        """Those of the row ids that have a live version now."""
        return row_ids[self._ordinal_of.view[row_ids] >= 0]

    def code(self, rows: pa.Table, slots: Array) -> CodedRows:
        """The batch in codes; `slots` names each row's text."""
        created = pc.fill_null(rows["created_at"].cast(pa.int64()), NO_TIME)
        return CodedRows(
            row_id=rows["row_id"].to_numpy(),
            change_no=rows["change_no"].to_numpy(),
            slot=slots,
            created_us=created.to_numpy(),
            fields={n: self._codes[n].encode(rows[c].to_pylist()) for n, c in FIELDS.items()},
            tags=[self._codes["tag"].encode(tags or []) for tags in rows["tags"].to_pylist()],
        )

    def replace(self, changed: Array, change_nos: Array, rows: CodedRows) -> None:
        """Mark every version of the `changed` row ids dead, then append the live `rows`."""
        self._kill(self.present(changed))
        self._change_of.view[changed] = change_nos
        start = len(self._row_id)
        ordinals = np.arange(start, start + len(rows.row_id), dtype=np.int32)
        self._row_id.extend(rows.row_id)
        self._slot.extend(rows.slot)
        self._created_us.extend(rows.created_us)
        for name, column in self._fields.items():
            column.extend(rows.fields[name])
        lengths = [len(tags) for tags in rows.tags]
        self._tag_ordinal.extend(np.repeat(ordinals, lengths))
        self._tag_code.extend([code for tags in rows.tags for code in tags])
        self._live.extend(np.ones(len(ordinals), dtype=np.bool_))
        self._ordinal_of.view[rows.row_id] = ordinals
        if self._dead > max(_COMPACT_MIN_DEAD, self.live_rows):
            self._compact()

    def _kill(self, row_ids: Array) -> None:
        if not len(row_ids):
            return
        self._live.detach()
        self._ordinal_of.detach()
        self._live.view[self._ordinal_of.view[row_ids]] = False
        self._ordinal_of.view[row_ids] = -1
        self._dead += len(row_ids)

    def _compact(self) -> None:
        old = self.view()
        keep = np.flatnonzero(old.live)
        moved_to = np.full(len(old.live), -1, dtype=np.int32)
        moved_to[keep] = np.arange(len(keep), dtype=np.int32)
        tags = old.live[old.tag_ordinal]
        self._begin()
        self._row_id.extend(old.row_id[keep])
        self._slot.extend(old.slot[keep])
        self._created_us.extend(old.created_us[keep])
        for name, column in self._fields.items():
            column.extend(old.fields[name][keep])
        self._tag_ordinal.extend(moved_to[old.tag_ordinal[tags]])
        self._tag_code.extend(old.tag_code[tags])
        self._live.extend(old.live[keep])
        self._ordinal_of.detach()
        self._ordinal_of.view[old.row_id[keep]] = np.arange(len(keep), dtype=np.int32)

    def view(self) -> ColumnsView:
        return ColumnsView(
            row_id=self._row_id.view,
            slot=self._slot.view,
            created_us=self._created_us.view,
            fields={name: column.view for name, column in self._fields.items()},
            tag_ordinal=self._tag_ordinal.view,
            tag_code=self._tag_code.view,
            live=self._live.view,
            ordinal_of=self._ordinal_of.view,
        )

    def coded(self, filters: Filters) -> CodedFilters | None:
        """The filters in codes; None where a field allows only values that no row ever had."""
        wanted = {
            "system": filters.systems,
            "project": filters.projects,
            "kind": filters.kinds,
            "session": filters.sessions,
            "agent": filters.agents,
            "user": filters.users,
            "namespace": filters.namespaces,
            "tag": filters.tags,
        }
        allowed = tuple((n, self._codes[n].known(v)) for n, v in wanted.items() if v)
        if any(not codes for _, codes in allowed):
            return None
        return CodedFilters(allowed, microseconds(filters.since), microseconds(filters.until))
