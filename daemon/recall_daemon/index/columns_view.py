"""The columns as they were at one moment: which rows pass, who is beside whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recall_daemon.index.fields import RowFields
from recall_daemon.index.filters import CodedFilters, moment_of
from recall_daemon.index.grouped import NO_KEY, Grouped
from recall_daemon.index.growable import Array
from recall_daemon.index.seen import RowIds, Rows

NO_TIME = np.iinfo(np.int64).min
# How much of a long session is looked at around a row; more where many rows in it are dead.
_BESIDE_WINDOW = 32

Beside = tuple[tuple[int, ...], tuple[int, ...]]


class Epoch:
    """While it is the same object, ordinals mean the same rows."""


@dataclass(frozen=True, slots=True)
class ColumnsView:
    """Arrays are by ordinal, `ordinal_of` by row id.

    `created_us` is `NO_TIME` and `importance` 0 where a row has none; `deaths` are ordinals in the
    order they died; every slot is below `texts`. `values` are the fields' values by code.
    """

    epoch: Epoch
    row_id: Array
    change_no: Array
    slot: Array
    created_us: Array
    importance: Array
    session_key: Array
    coded: dict[str, Array]
    tag_ordinal: Array
    tag_code: Array
    live: Array
    deaths: Array
    ordinal_of: Array
    by_slot: Grouped
    by_session: Grouped
    texts: int
    values: dict[str, list[str]]

    def passing_from(self, start: int, filters: CodedFilters) -> Array:
        """Which ordinals from `start` on are live and pass, as a mask."""
        mask = self.live[start:].copy()
        for name, codes in filters.allowed:
            if name == "tag":
                mask &= self._tagged(codes, start)
            else:
                mask &= among(self.coded[name][start:], codes)
        if filters.rows is not None:
            mask &= self._are(filters.rows, start)
        if filters.seen is not None:
            rows = Rows(
                agent=self.coded["agent"][start:],
                user=self.coded["user"][start:],
                shared=self._are(filters.seen.shared, start),
                tagged=lambda codes: self._tagged(codes, start),
            )
            mask &= filters.seen.among(rows)
        return mask & _within(self.created_us[start:], filters)

    def _tagged(self, codes: tuple[int, ...], start: int) -> Array:
        tagged = np.zeros(len(self.live) - start, dtype=np.bool_)
        # Tags are appended with their rows, so their ordinals ascend.
        # A start of another type would have the whole column copied.
        first = int(np.searchsorted(self.tag_ordinal, np.int32(start)))
        hits = self.tag_ordinal[first:][among(self.tag_code[first:], codes)]
        tagged[hits - start] = True
        return tagged

    def _are(self, wanted: RowIds, start: int) -> Array:
        """Which ordinals from `start` on are the present versions of these rows, as a mask."""
        are = np.zeros(len(self.live) - start, dtype=np.bool_)
        ordinals = self.ordinal_of[wanted.array[wanted.array < len(self.ordinal_of)]]
        # One past the end: a row that came after this view was taken, in a place that it has, too.
        ordinals = ordinals[(ordinals >= start) & (ordinals < len(self.live))]
        are[ordinals - start] = True
        return are

    def passing(self, row_ids: npt.ArrayLike, filters: CodedFilters) -> Array:
        """Those of the rows that are live here and pass, in their order; any row id may be asked.

        Costs next to nothing for a few hundred rows, however many the index has.
        """
        asked = np.asarray(row_ids, dtype=np.int64)
        known = asked[(asked >= 0) & (asked < len(self.ordinal_of))]
        ordinals = self.ordinal_of[known]
        # One past the end: a row that came after this view was taken, in a place that it has, too.
        here = (ordinals >= 0) & (ordinals < len(self.live))
        known, ordinals = known[here], ordinals[here]
        mask = self.live[ordinals]
        for name, codes in filters.allowed:
            if name == "tag":
                mask &= self._have_tag(ordinals, codes)
            else:
                mask &= among(self.coded[name][ordinals], codes)
        if filters.rows is not None:
            mask &= filters.rows.among(known)
        if filters.seen is not None:
            rows = Rows(
                agent=self.coded["agent"][ordinals],
                user=self.coded["user"][ordinals],
                shared=filters.seen.shared.among(known),
                tagged=lambda codes: self._have_tag(ordinals, codes),
            )
            mask &= filters.seen.among(rows)
        mask &= _within(self.created_us[ordinals], filters)
        return np.asarray(known[mask])

    def _have_tag(self, ordinals: Array, codes: tuple[int, ...]) -> Array:
        first = np.searchsorted(self.tag_ordinal, ordinals, side="left")
        length = np.searchsorted(self.tag_ordinal, ordinals, side="right") - first
        which = np.repeat(np.arange(len(ordinals)), length)
        at = np.arange(len(which)) + np.repeat(first - (np.cumsum(length) - length), length)
        have = np.zeros(len(ordinals), dtype=np.bool_)
        have[which[among(self.tag_code[at], codes)]] = True
        return have

    def fields(self, versions: Mapping[int, int]) -> dict[int, RowFields]:
        """By row id the fields of those rows whose live version here is of that change_no."""
        asked = np.fromiter(versions, dtype=np.int64, count=len(versions))
        asked = asked[asked < len(self.ordinal_of)]
        own = self.ordinal_of[asked]
        asked, own = asked[own >= 0], own[own >= 0]
        asked, own = asked[own < len(self.live)], own[own < len(self.live)]
        same = self.change_no[own] == [versions[row_id] for row_id in asked.tolist()]
        return dict(zip(asked[same].tolist(), self._fields(own[same]), strict=True))

    def _fields(self, own: Array) -> Iterator[RowFields]:
        names = ("system", "kind", "project", "session", "agent", "user")
        columns = (self._values(name, self.coded[name][own]) for name in names)
        first = np.searchsorted(self.tag_ordinal, own, side="left").tolist()
        last = np.searchsorted(self.tag_ordinal, own, side="right").tolist()
        tags = (
            tuple(str(tag) for tag in self._values("tag", self.tag_code[begin:end]))
            for begin, end in zip(first, last, strict=True)
        )
        times = (None if us == NO_TIME else moment_of(us) for us in self.created_us[own].tolist())
        for system, kind, *rest in zip(*columns, tags, times, strict=True):
            yield RowFields(system or "", kind or "", *rest)

    def _values(self, name: str, codes: Array) -> list[str | None]:
        values = self.values[name]
        return [values[code] if code >= 0 else None for code in codes.tolist()]

    def ordinals(self, row_ids: npt.ArrayLike) -> Array:
        """The ordinal of each row id. Raises IndexError for a row this view never had."""
        return self.ordinal_of[np.asarray(row_ids, dtype=np.int64)]

    def of_slots(self, slots: Array) -> tuple[Array, Array]:
        """For distinct slots: which of them, and an ordinal that has it, for each such pair."""
        return self.by_slot.members(self.slot, slots)

    def around(self, row_ids: npt.ArrayLike, n: int) -> Array:
        """Row ids of the live rows around each row in its session, in the order of the session.

        int64 of shape (rows, 2 n + 1), the row itself in the middle; -1 where there is none.
        """
        asked = np.asarray(row_ids, dtype=np.int64)
        own = self.ordinals(asked)
        keys = np.where(own >= 0, self.session_key[own], NO_KEY)
        found, slow = self._around_sorted(own, keys, n)
        found[:, n] = asked
        newest = self.by_session.unsorted(self.session_key, np.unique(keys[keys != NO_KEY]))
        slow |= np.isin(keys, [key for key, ordinals in newest.items() if len(ordinals)])
        for at in np.flatnonzero(slow).tolist():
            key = int(keys[at])
            before, after = self._beside(int(asked[at]), key, newest[key], n)
            found[at] = [
                *[-1] * (n - len(before)),
                *reversed(before),
                asked[at],
                *after,
                *[-1] * (n - len(after)),
            ]
        return found

    def _around_sorted(self, own: Array, keys: Array, n: int) -> tuple[Array, Array]:
        """As if every session were sorted in; and where a dead row is among them."""
        order = self.by_session.order
        found = np.full((len(own), 2 * n + 1), -1, dtype=np.int64)
        slow = np.zeros(len(own), dtype=np.bool_)
        at = np.flatnonzero((keys != NO_KEY) & (own < len(order)))
        places = self.by_session.place_of[own[at]][:, None] + np.arange(-n, n + 1)
        near = order[np.clip(places, 0, max(len(order) - 1, 0))]
        same = (places >= 0) & (places < len(order)) & (self.session_key[near] == keys[at][:, None])
        found[at] = np.where(same, self.row_id[near], -1)
        slow[at] = (same & ~self.live[near]).any(axis=1)
        return found, slow

    def _beside(self, row_id: int, key: int, newest: Array, n: int) -> Beside:
        """`newest`: the ordinals of the session that are not sorted in yet."""
        rank = (int(self.created_us[self.ordinal_of[row_id]]), row_id)
        low, high = self.by_session.run(key)
        at = self._place(rank, low, high)
        width = _BESIDE_WINDOW
        while True:
            start, stop = max(low, at - width), min(high, at + width)
            near = np.concatenate([self.by_session.order[start:stop], newest])
            near = near[self.live[near]]
            before, after = self._around(near, rank, n)
            whole = start == low and stop == high
            if whole or (self._live_in(start, at) >= n and self._live_in(at + 1, stop) >= n):
                return before, after
            width *= 8

    def _live_in(self, start: int, stop: int) -> int:
        return int(np.count_nonzero(self.live[self.by_session.order[start:stop]]))

    def _place(self, rank: tuple[int, int], low: int, high: int) -> int:
        """The first place in [low, high) of the sorted sessions at or after the rank."""
        order = self.by_session.order
        while low < high:
            middle = (low + high) // 2
            at = order[middle]
            if (int(self.created_us[at]), int(self.row_id[at])) < rank:
                low = middle + 1
            else:
                high = middle
        return low

    def _around(self, ordinals: Array, rank: tuple[int, int], n: int) -> Beside:
        row_ids, created = self.row_id[ordinals], self.created_us[ordinals]
        order = np.lexsort((row_ids, created))
        row_ids = row_ids[order]
        at = int(np.flatnonzero(row_ids == rank[1])[0])
        before = row_ids[max(at - n, 0) : at][::-1]
        return tuple(before.tolist()), tuple(row_ids[at + 1 : at + 1 + n].tolist())

    def newest_first(self, ordinals: Array, scores: Array) -> Array:
        """The order by score, then newest, then row id: the same whatever the order of arrival."""
        keys = (self.row_id[ordinals], -self.created_us[ordinals].astype(np.float64), -scores)
        return np.lexsort(keys)


def among(values: Array, codes: tuple[int, ...]) -> Array:
    """Which values are one of the codes, as a mask."""
    if len(codes) == 1:
        return np.asarray(values == codes[0])
    return np.isin(values, np.asarray(codes, dtype=values.dtype))


def _within(created_us: Array, filters: CodedFilters) -> Array:
    mask = np.ones(len(created_us), dtype=np.bool_)
    if filters.since_us is not None or filters.until_us is not None:
        mask &= created_us != NO_TIME
    if filters.since_us is not None:
        mask &= created_us >= filters.since_us
    if filters.until_us is not None:
        mask &= created_us < filters.until_us
    return mask
