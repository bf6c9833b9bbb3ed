"""The filterable fields of every row, as numpy columns by ordinal.

A version of a row is one ordinal and is never changed: an update appends a new ordinal and marks
the old one dead. So a view that was taken before stays exactly what it was. Memory is about
102 bytes a row plus 8 a tag; dead ordinals are squeezed out when they outnumber the live ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recall_daemon.index.columns_view import NO_TIME, ColumnsView, Epoch
from recall_daemon.index.filters import CodedFilters, Filters, microseconds
from recall_daemon.index.grouped import NO_KEY, UNSORTED_MAX, Grouped
from recall_daemon.index.growable import Array, Growable
from recall_daemon.index.seen import coded as seen_coded

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
    """Strings as small numbers, given out in the order they are first seen.

    `values` are the strings by number; it only grows.
    """

    def __init__(self) -> None:
        self._code_of: dict[str, int] = {}
        self.values: list[str] = []

    def encode(self, values: pa.Array | pa.ChunkedArray) -> Array:
        """int32; -1 for null. Only the distinct values are looked at one by one."""
        if isinstance(values, pa.ChunkedArray):
            values = values.combine_chunks()
        if not len(values):
            return np.empty(0, dtype=np.int32)
        encoded = values.dictionary_encode()
        codes = [self._code(value) for value in encoded.dictionary.to_pylist()]
        places = encoded.indices.fill_null(len(codes)).to_numpy()
        return np.asarray(np.asarray([*codes, -1], dtype=np.int32)[places])

    def _code(self, value: str) -> int:
        code = self._code_of.setdefault(value, len(self.values))
        if code == len(self.values):
            self.values.append(value)
        return code

    def known(self, values: Sequence[str]) -> tuple[int, ...]:
        """The codes of those values that any row ever had."""
        return tuple(sorted({self._code_of[value] for value in values if value in self._code_of}))


@dataclass(frozen=True, slots=True)
class CodedRows:
    """The fields of one batch of live rows, in codes. `tag_row`: which row a tag belongs to."""

    row_id: Array
    change_no: Array
    slot: Array
    created_us: Array
    importance: Array
    fields: dict[str, Array]
    tag_row: Array
    tag_code: Array


class Columns:
    """The writing side. One thread only."""

    def __init__(self) -> None:
        self._codes = {name: Codes() for name in (*FIELDS, "tag")}
        self._change_of = Growable(np.int64)
        self._ordinal_of = Growable(np.int32, fill=-1)
        self._texts = 0
        self._begin()

    def _begin(self) -> None:
        self._epoch = Epoch()
        self._row_id = Growable(np.int64)
        self._change_no = Growable(np.int64)
        self._slot = Growable(np.int32)
        self._created_us = Growable(np.int64)
        self._importance = Growable(np.float32)
        self._session_key = Growable(np.int64)
        self._fields = {name: Growable(np.int32) for name in FIELDS}
        self._tag_ordinal = Growable(np.int32)
        self._tag_code = Growable(np.int32)
        self._live = Growable(np.bool_)
        self._deaths = Growable(np.int32)
        self._by_slot = Grouped.of(self._slot.view)
        self._by_session = Grouped.of(self._session_key.view)

    @property
    def live_rows(self) -> int:
        return len(self._row_id) - len(self._deaths)

    def held(self) -> tuple[Array, Array]:
        """The row ids that have a live version, and the change_no of each."""
        row_ids = self._row_id.view[self._live.view]
        return row_ids, self._change_of.view[row_ids]

    def is_new(self, row_ids: Array, change_nos: Array) -> Array:
        """Which changes were not applied yet; of several of one row only the last counts."""
        self._grow_to(row_ids)
        return np.asarray(
            last_of_each(row_ids, change_nos) & (change_nos > self._change_of.view[row_ids])
        )

    def _grow_to(self, row_ids: Array) -> None:
        self._change_of.resize(int(row_ids.max(initial=0)) + 1)
        self._ordinal_of.resize(len(self._change_of))

    def change_of(self, row_ids: Array) -> Array:
        """The last change_no taken in of each row."""
        return self._change_of.view[row_ids]

    def has(self, row_ids: Array, change_nos: Array) -> Array:
        """Which of the rows are live here as of exactly that change, as a mask."""
        self._grow_to(row_ids)
        live = self._ordinal_of.view[row_ids] >= 0
        return np.asarray(live & (self._change_of.view[row_ids] == change_nos))

    def present(self, row_ids: Array) -> Array:
        """Those of the row ids that have a live version now."""
        return row_ids[self._ordinal_of.view[row_ids] >= 0]

    def code(self, rows: pa.Table, slots: Array) -> CodedRows:
        """The batch in codes; `slots` names each row's text."""
        created = pc.fill_null(rows["created_at"].cast(pa.int64()), NO_TIME)
        tags = rows["tags"].combine_chunks()
        return CodedRows(
            row_id=rows["row_id"].to_numpy(),
            change_no=rows["change_no"].to_numpy(),
            slot=slots,
            created_us=created.to_numpy(),
            importance=pc.fill_null(rows["importance"], 0.0).to_numpy(),
            fields={name: self._codes[name].encode(rows[c]) for name, c in FIELDS.items()},
            tag_row=pc.list_parent_indices(tags).to_numpy(),
            tag_code=self._codes["tag"].encode(pc.list_flatten(tags)),
        )

    def replace(self, changed: Array, change_nos: Array, rows: CodedRows) -> None:
        """Mark every version of the `changed` row ids dead, then append the live `rows`."""
        self._grow_to(changed)
        self._kill(self.present(changed))
        self._change_of.view[changed] = change_nos
        start = len(self._row_id)
        ordinals = np.arange(start, start + len(rows.row_id), dtype=np.int32)
        self._row_id.extend(rows.row_id)
        self._change_no.extend(rows.change_no)
        self._slot.extend(rows.slot)
        self._texts = max(self._texts, int(rows.slot.max(initial=-1)) + 1)
        self._created_us.extend(rows.created_us)
        self._importance.extend(rows.importance)
        for name, column in self._fields.items():
            column.extend(rows.fields[name])
        self._session_key.extend(_session_keys(rows.fields))
        self._tag_ordinal.extend(rows.tag_row + start)
        self._tag_code.extend(rows.tag_code)
        self._live.extend(np.ones(len(ordinals), dtype=np.bool_))
        self._ordinal_of.view[rows.row_id] = ordinals
        if len(self._deaths) > max(_COMPACT_MIN_DEAD, self.live_rows):
            self._compact()
        self._sort_in()

    def _kill(self, row_ids: Array) -> None:
        if not len(row_ids):
            return
        self._live.detach()
        self._ordinal_of.detach()
        ordinals = self._ordinal_of.view[row_ids]
        self._live.view[ordinals] = False
        self._ordinal_of.view[row_ids] = -1
        self._deaths.extend(ordinals)

    def _sort_in(self) -> None:
        if len(self._row_id) - self._by_slot.sorted_to > UNSORTED_MAX:
            self._by_slot = Grouped.of(self._slot.view)
            self._by_session = Grouped.of(
                self._session_key.view, self._row_id.view, self._created_us.view
            )

    def _compact(self) -> None:
        old = self.view()
        keep = np.flatnonzero(old.live)
        moved_to = np.full(len(old.live), -1, dtype=np.int32)
        moved_to[keep] = np.arange(len(keep), dtype=np.int32)
        tags = old.live[old.tag_ordinal]
        self._begin()
        self._row_id.extend(old.row_id[keep])
        self._change_no.extend(old.change_no[keep])
        self._slot.extend(old.slot[keep])
        self._created_us.extend(old.created_us[keep])
        self._importance.extend(old.importance[keep])
        self._session_key.extend(old.session_key[keep])
        for name, column in self._fields.items():
            column.extend(old.coded[name][keep])
        self._tag_ordinal.extend(moved_to[old.tag_ordinal[tags]])
        self._tag_code.extend(old.tag_code[tags])
        self._live.extend(old.live[keep])
        self._ordinal_of.detach()
        self._ordinal_of.view[old.row_id[keep]] = np.arange(len(keep), dtype=np.int32)

    def view(self) -> ColumnsView:
        return ColumnsView(
            epoch=self._epoch,
            row_id=self._row_id.view,
            change_no=self._change_no.view,
            slot=self._slot.view,
            created_us=self._created_us.view,
            importance=self._importance.view,
            session_key=self._session_key.view,
            coded={name: column.view for name, column in self._fields.items()},
            tag_ordinal=self._tag_ordinal.view,
            tag_code=self._tag_code.view,
            live=self._live.view,
            deaths=self._deaths.view,
            ordinal_of=self._ordinal_of.view,
            by_slot=self._by_slot,
            by_session=self._by_session,
            texts=self._texts,
            values={name: codes.values for name, codes in self._codes.items()},
        )

    def coded(self, filters: Filters) -> CodedFilters | None:
        """The filters in codes; None where a field allows only values that no row ever had."""
        allowed = tuple((name, self._codes[name].known(v)) for name, v in filters.allowed())
        if any(not codes for _, codes in allowed):
            return None
        seen = None
        if filters.seen is not None:
            seen = seen_coded(filters.seen, lambda name, values: self._codes[name].known(values))
        return CodedFilters(
            allowed,
            microseconds(filters.since),
            microseconds(filters.until),
            seen,
            filters.rows,
            filters,
        )


def last_of_each(row_ids: Array, change_nos: Array) -> Array:
    """Which changes are the last of their row, as a mask."""
    order = np.lexsort((change_nos, row_ids))
    last = np.ones(len(order), dtype=np.bool_)
    last[:-1] = row_ids[order][1:] != row_ids[order][:-1]
    mask = np.zeros(len(order), dtype=np.bool_)
    mask[order[last]] = True
    return mask


def _session_keys(fields: dict[str, Array]) -> Array:
    """One number for a session of a system; `NO_KEY` without a session."""
    keys = fields["system"].astype(np.int64) << 32 | fields["session"].astype(np.int64)
    return np.where(fields["session"] >= 0, keys, NO_KEY)
