"""A small number for each distinct text, by its 128-bit hash."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recall_daemon.index.growable import Array, Growable
from recall_wire.errors import TerminalError

HASH_DIGITS = 32
# New texts are looked up in a dict until there are this many; then they are sorted in.
_RECENT_MAX = 16_384

_NIBBLES = np.full(256, 255, dtype=np.uint8)
_NIBBLES[np.frombuffer(b"0123456789abcdef", dtype=np.uint8)] = np.arange(16, dtype=np.uint8)
_DIGITS = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)


class TextHashInvalid(TerminalError):
    """The store gave a text_hash that is not 32 hexadecimal digits."""


@dataclass(frozen=True, slots=True)
class Keys:
    """128-bit hashes as two uint64 arrays of equal length."""

    high: Array
    low: Array

    def __len__(self) -> int:
        return len(self.high)

    def at(self, places: Array) -> Keys:
        return Keys(self.high[places], self.low[places])


def _sorted(keys: Keys) -> Array:
    """The order by high, low and place: half the time of a lexsort, since few share a `high`."""
    order = np.argsort(keys.high)
    high = keys.high[order]
    begins = np.ones(len(order), dtype=np.bool_)
    begins[1:] = high[1:] != high[:-1]
    shared = ~begins
    shared[:-1] |= shared[1:]
    tied = order[shared]
    run = np.cumsum(begins)[shared]
    order[shared] = tied[np.lexsort((tied, keys.low[tied], run))]
    return order


def keys_of(text_hashes: pa.Array | pa.ChunkedArray) -> Keys:
    """The keys of hashes without nulls. Raises `TextHashInvalid`."""
    if isinstance(text_hashes, pa.ChunkedArray):
        text_hashes = text_hashes.combine_chunks()
    if not len(text_hashes):
        return Keys(np.empty(0, np.uint64), np.empty(0, np.uint64))
    lengths = pc.binary_length(text_hashes)
    if text_hashes.null_count or pc.min_max(lengths).as_py() != {
        "min": HASH_DIGITS,
        "max": HASH_DIGITS,
    }:
        raise _invalid()
    fixed = text_hashes.cast(pa.binary()).cast(pa.binary(HASH_DIGITS))
    digits = np.frombuffer(fixed.buffers()[1], dtype=np.uint8)
    start = fixed.offset * HASH_DIGITS
    nibbles = _NIBBLES[digits[start : start + len(fixed) * HASH_DIGITS]].reshape(-1, HASH_DIGITS)
    if (nibbles == 255).any():
        raise _invalid()
    whole = (nibbles[:, ::2] << 4 | nibbles[:, 1::2]).view(">u8").astype(np.uint64)
    return Keys(np.ascontiguousarray(whole[:, 0]), np.ascontiguousarray(whole[:, 1]))


def hashes_of(keys: Keys) -> pa.Array:
    """The hashes as strings of hexadecimal digits."""
    whole = np.stack([keys.high, keys.low], axis=1).astype(">u8").view(np.uint8)
    nibbles = np.stack([whole >> 4, whole & 15], axis=2).reshape(-1)
    offsets = np.arange(0, len(keys) * HASH_DIGITS + 1, HASH_DIGITS, dtype=np.int32)
    return pa.StringArray.from_buffers(
        len(keys), pa.py_buffer(offsets), pa.py_buffer(_DIGITS[nibbles])
    )


def _invalid() -> TextHashInvalid:
    return TextHashInvalid(
        f"the store gave a text_hash that is not {HASH_DIGITS} hexadecimal digits",
        hint="run `recalld verify`",
    )


class TextSlots:
    """Slots are given out from 0 and never change. Safe from several threads.

    28 bytes a text: the keys by slot, and the order in which they are sorted.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._high = Growable(np.uint64)
        self._low = Growable(np.uint64)
        self._sorted_high: Array = np.empty(0, dtype=np.uint64)
        self._sorted_slot: Array = np.empty(0, dtype=np.int32)
        self._recent: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        return len(self._high)

    @property
    def keys(self) -> Keys:
        """The key of every slot."""
        return Keys(self._high.view, self._low.view)

    def of_texts(self, text_hashes: pa.ChunkedArray) -> Array:
        """The slot of each text, given out where it has none; -1 for null."""
        slots = np.full(len(text_hashes), -1, dtype=np.int32)
        have = text_hashes.is_valid().to_numpy()
        slots[have] = self.of_keys(keys_of(text_hashes.drop_null()))
        return slots

    def of_keys(self, keys: Keys) -> Array:
        """The slot of each key, given out where it has none."""
        with self._lock:
            slots = self._find(keys)
            missing = np.flatnonzero(slots < 0)
            if len(missing):
                slots[missing] = self._give(keys.at(missing))
            return slots

    def find(self, keys: Keys) -> Array:
        """The slot of each key, -1 where it has none."""
        with self._lock:
            return self._find(keys)

    def _find(self, keys: Keys) -> Array:
        slots = self._find_sorted(keys)
        if self._recent:
            missing = np.flatnonzero(slots < 0)
            pairs = zip(keys.high[missing].tolist(), keys.low[missing].tolist(), strict=True)
            slots[missing] = [self._recent.get(pair, -1) for pair in pairs]
        return slots

    def _find_sorted(self, keys: Keys) -> Array:
        """Two hashes may share their first half: then the places after it are tried, too."""
        slots = np.full(len(keys), -1, dtype=np.int32)
        at = np.searchsorted(self._sorted_high, keys.high)
        asked = np.arange(len(keys))
        low = self._low.view
        while len(asked):
            asked = asked[at[asked] < len(self._sorted_high)]
            asked = asked[self._sorted_high[at[asked]] == keys.high[asked]]
            found = self._sorted_slot[at[asked]]
            same = low[found] == keys.low[asked]
            slots[asked[same]] = found[same]
            asked = asked[~same]
            at[asked] += 1
        return slots

    def _give(self, keys: Keys) -> Array:
        """New slots for keys that have none; the same key twice gets one."""
        order = _sorted(keys)
        high, low = keys.high[order], keys.low[order]
        begins = np.ones(len(order), dtype=np.bool_)
        begins[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
        # A key's first place in `order` is its first appearance.
        first = order[begins]
        appears = np.zeros(len(order), dtype=np.bool_)
        appears[first] = True
        number = (np.cumsum(appears) - 1)[first]
        which = np.empty(len(order), dtype=np.int64)
        which[order] = np.cumsum(begins) - 1
        new = keys.at(np.flatnonzero(appears))
        start = len(self)
        self._high.extend(new.high)
        self._low.extend(new.low)
        if len(self._recent) + len(new) > _RECENT_MAX:
            self._sort()
        else:
            pairs = zip(new.high.tolist(), new.low.tolist(), strict=True)
            self._recent.update((pair, start + at) for at, pair in enumerate(pairs))
        return np.asarray(start + number[which], dtype=np.int32)

    def _sort(self) -> None:
        order = np.argsort(self._high.view)
        self._sorted_high = self._high.view[order]
        self._sorted_slot = order.astype(np.int32)
        self._recent = {}
