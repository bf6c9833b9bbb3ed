"""The vectors of every distinct text, one a passage, compared exactly by BLAS.

A text's slot is given out when its first row or its vector is seen; its vector takes the next
place in the matrix when it comes. A place is written once and never moved, so a view is just the
number of places that were taken then. Memory is 4 x dim bytes a vector (1.5 KB at 384, 1.5 GB for
1,000,000) and about 200 bytes a distinct text for the hash. A vector whose rows are all gone keeps
its place until the index is rebuilt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from recall_daemon.index.growable import Array, Growable

CHUNK_VECTORS = 16_384
# Below this share of the vectors, gathering those that pass is faster than scanning all.
_GATHER_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Passages:
    """Where each place's vector comes from: all arrays are by place."""

    number: Array
    start_char: Array
    end_char: Array


@dataclass(frozen=True, slots=True)
class VectorsView:
    """The vectors as they were at one moment.

    A text's passages lie side by side: from `first_of`, `length_of` of them, both by slot. What
    came after this view was taken has a place at or past `count`.
    """

    chunks: tuple[Array, ...]
    count: int
    dim: int
    first_of: Array
    length_of: Array
    passages: Passages

    def runs(self, slots: Array) -> tuple[Array, Array]:
        """Each slot's first place, and how many it has: 0 without a vector."""
        if not len(self.first_of):
            return np.zeros(len(slots), dtype=np.int64), np.zeros(len(slots), dtype=np.int64)
        first = self.first_of[np.maximum(slots, 0)].astype(np.int64)
        length = self.length_of[np.maximum(slots, 0)].astype(np.int64)
        length = np.clip(length, 0, self.count - first)
        length[(slots < 0) | (first < 0) | (first >= self.count)] = 0
        return first, length

    def best(self, query: Array, first: Array, length: Array) -> tuple[Array, Array]:
        """Of each run (none empty) the highest inner product with `query`, and its place."""
        if not len(first):
            return np.empty(0, dtype=np.float32), np.empty(0, dtype=np.int64)
        starts = np.cumsum(length) - length
        places = np.repeat(first - starts, length) + np.arange(int(length.sum()))
        scores = self.scores(query, places)
        highest = np.maximum.reduceat(scores, starts)
        hits = np.flatnonzero(scores == np.repeat(highest, length))
        run = np.repeat(np.arange(len(first)), length)[hits]
        _, leading = np.unique(run, return_index=True)
        return highest, places[hits[leading]]

    def at(self, places: Array) -> Array:
        """The vectors at these places, shape (len(places), dim)."""
        found = np.empty((len(places), self.dim), dtype=np.float32)
        which = places // CHUNK_VECTORS
        for number in np.unique(which):
            here = which == number
            found[here] = self.chunks[number][places[here] % CHUNK_VECTORS]
        return found

    def scores(self, query: Array, places: Array) -> Array:
        """The inner product of `query` and the vector at each place (all >= 0), float32."""
        if len(places) < self.count * _GATHER_SHARE:
            return self._gathered(query, places)
        everything = np.empty(self.count, dtype=np.float32)
        for start, chunk in zip(range(0, self.count, CHUNK_VECTORS), self.chunks, strict=True):
            part = everything[start : start + CHUNK_VECTORS]
            np.dot(chunk[: len(part)], query, out=part)
        return np.asarray(everything[places])

    def _gathered(self, query: Array, places: Array) -> Array:
        distinct, inverse = np.unique(places, return_inverse=True)
        return np.asarray((self.at(distinct) @ query)[inverse])


class Vectors:
    """The writing side. One thread only."""

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self.unusable = 0
        self._slot_of: dict[str, int] = {}
        self._first_of = Growable(np.int32, fill=-1)
        self._length_of = Growable(np.int32)
        self._number = Growable(np.int32)
        self._start_char = Growable(np.int32)
        self._end_char = Growable(np.int32)
        self._change_no = Growable(np.int64)
        self._chunks: list[Array] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def slots(self, text_hashes: Sequence[str | None]) -> Array:
        """The slot of each text, given out where it has none; -1 for None."""
        slot_of = self._slot_of
        slots = [-1 if h is None else slot_of.setdefault(h, len(slot_of)) for h in text_hashes]
        self._first_of.resize(len(slot_of))
        self._length_of.resize(len(slot_of))
        return np.asarray(slots, dtype=np.int32)

    def held(self) -> list[str]:
        """The hashes of the texts that have a vector."""
        lengths = self._length_of.view
        return [text_hash for text_hash, slot in self._slot_of.items() if lengths[slot]]

    def put(self, changes: pa.Table, vectors: Array) -> None:
        """Take the passages in; `vectors` are theirs. The same change again changes nothing.

        Passage 0 replaces all that its text had. A vector with NaN or infinity is counted in
        `unusable` and left out: it would rank anywhere.
        """
        usable = np.asarray(np.isfinite(vectors).all(axis=1)).tolist()
        slots = self.slots(changes["text_hash"].to_pylist()).tolist()
        ends = changes["end_char"].fill_null(-1).to_pylist()
        fields = (changes[name].to_pylist() for name in ("change_no", "passage", "start_char"))
        for at, spot in enumerate(zip(*fields, ends, strict=True)):
            self._take(slots[at], spot, vectors[at] if usable[at] else None)

    def _take(self, slot: int, spot: tuple[int, int, int, int], vector: Array | None) -> None:
        """`spot`: change_no, passage, start and end."""
        first, length = int(self._first_of.view[slot]), int(self._length_of.view[slot])
        if length and spot[0] <= self._change_no.view[first + length - 1]:
            return
        if spot[1] == 0 and length:
            self._first_of.detach()
            self._length_of.detach()
            self._length_of.view[slot] = length = 0
        if vector is None:
            self.unusable += 1
            return
        if length == 0:
            self._first_of.view[slot] = self._count
        self._length_of.view[slot] = length + 1
        columns = (self._change_no, self._number, self._start_char, self._end_char)
        for column, value in zip(columns, spot, strict=True):
            column.extend([value])
        self._append(vector)

    def _append(self, vector: Array) -> None:
        if self._count == len(self._chunks) * CHUNK_VECTORS:
            self._chunks.append(np.empty((CHUNK_VECTORS, self.dim), dtype=np.float32))
        self._chunks[-1][self._count % CHUNK_VECTORS] = vector
        self._count += 1

    def view(self) -> VectorsView:
        return VectorsView(
            chunks=tuple(self._chunks),
            count=self._count,
            dim=self.dim,
            first_of=self._first_of.view,
            length_of=self._length_of.view,
            passages=Passages(self._number.view, self._start_char.view, self._end_char.view),
        )


def best(scores: Array, k: int) -> Array:
    """Where the k highest scores are, and all that tie with the last of them; in no order."""
    if len(scores) <= k:
        return np.arange(len(scores))
    lowest = np.partition(scores, len(scores) - k)[len(scores) - k]
    return np.flatnonzero(scores >= lowest)
