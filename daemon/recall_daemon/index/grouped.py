"""Which ordinals have a key: a sorted part, and the newest ones that are still unsorted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recall_daemon.index.growable import Array

NO_KEY = -1
# The unsorted part is scanned at each look-up: half a millisecond at this length.
UNSORTED_MAX = 32_768


@dataclass(frozen=True, slots=True)
class Grouped:
    """The ordinals [0, sorted_to) of a column in the order of their keys.

    `order` are the ordinals, `keys` their keys, ascending; within one key by `ranks`. `place_of`
    says where in `order` an ordinal is. A column only grows, so this stays true of a column that
    has grown since.
    """

    order: Array
    keys: Array
    place_of: Array

    @classmethod
    def of(cls, column: Array, *ranks: Array) -> Grouped:
        """`ranks` order the ordinals within a key, the last one first as for `np.lexsort`."""
        order = np.lexsort((*ranks, column)) if ranks else np.argsort(column, kind="stable")
        place_of = np.empty(len(order), dtype=np.int32)
        place_of[order] = np.arange(len(order), dtype=np.int32)
        return cls(order.astype(np.int32), column[order], place_of)

    @property
    def sorted_to(self) -> int:
        return len(self.order)

    def run(self, key: int) -> tuple[int, int]:
        """The half-open range of `order` that has the key."""
        low, high = np.searchsorted(self.keys, [key, key + 1])
        return int(low), int(high)

    def unsorted(self, column: Array, keys: Array) -> dict[int, Array]:
        """For each of the distinct `keys`, ascending: the ordinals past the sorted part with it."""
        newest = column[self.sorted_to :]
        if not len(keys) or not len(newest):
            return dict.fromkeys(keys.tolist(), newest)
        place = np.searchsorted(keys, newest)
        place[place == len(keys)] = 0
        hits = np.flatnonzero(keys[place] == newest)
        hits = hits[np.argsort(place[hits], kind="stable")]
        ends = np.cumsum(np.bincount(place[hits], minlength=len(keys)))
        parts = np.split(hits + self.sorted_to, ends[:-1])
        return dict(zip(keys.tolist(), parts, strict=True))

    def members(self, column: Array, keys: Array) -> tuple[Array, Array]:
        """For distinct `keys`: which of them, and an ordinal that has it, for each such pair."""
        low = np.searchsorted(self.keys, keys, side="left")
        lengths = np.searchsorted(self.keys, keys, side="right") - low
        which = np.repeat(np.arange(len(keys)), lengths)
        ends = np.cumsum(lengths)
        at = np.arange(len(which)) + np.repeat(low - (ends - lengths), lengths)
        newest = column[self.sorted_to :]
        ascending = np.argsort(keys, kind="stable")
        place = np.searchsorted(keys[ascending], newest)
        place[place == len(keys)] = 0
        hits = np.flatnonzero(keys[ascending][place] == newest) if len(keys) else place[:0]
        return (
            np.concatenate([which, ascending[place[hits]]]),
            np.concatenate([self.order[at].astype(np.int64), hits + self.sorted_to]),
        )
