"""One vector per distinct text, compared exactly by BLAS.

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

from recall_daemon.index.growable import Array, Growable

CHUNK_VECTORS = 16_384
# Below this share of the vectors, gathering those that pass is faster than scanning all.
_GATHER_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class VectorsView:
    """The vectors as they were at one moment. `place_of` is by slot; -1 or >= count: none yet."""

    chunks: tuple[Array, ...]
    count: int
    dim: int
    place_of: Array

    def places(self, slots: Array) -> Array:
        """Each slot's place in the matrix, -1 where it has no vector."""
        if not len(self.place_of):
            return np.full(len(slots), -1, dtype=np.int64)
        places = self.place_of[np.maximum(slots, 0)].astype(np.int64)
        # A vector that came after this view was taken has a place at or past its count.
        places[(slots < 0) | (places >= self.count)] = -1
        return places

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
        scores = np.empty(len(distinct), dtype=np.float32)
        which = distinct // CHUNK_VECTORS
        for number in np.unique(which):
            here = which == number
            scores[here] = self.chunks[number][distinct[here] % CHUNK_VECTORS] @ query
        return np.asarray(scores[inverse])


class Vectors:
    """The writing side. One thread only."""

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self.unusable = 0
        self._slot_of: dict[str, int] = {}
        self._place_of = Growable(np.int32, fill=-1)
        self._chunks: list[Array] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def slots(self, text_hashes: Sequence[str | None]) -> Array:
        """The slot of each text, given out where it has none; -1 for None."""
        slot_of = self._slot_of
        slots = [-1 if h is None else slot_of.setdefault(h, len(slot_of)) for h in text_hashes]
        self._place_of.resize(len(slot_of))
        return np.asarray(slots, dtype=np.int32)

    def held(self) -> list[str]:
        """The hashes of the texts that have a vector."""
        places = self._place_of.view
        return [text_hash for text_hash, slot in self._slot_of.items() if places[slot] >= 0]

    def put(self, text_hashes: Sequence[str], vectors: Array) -> None:
        """Take the vectors in. The same one again changes nothing; another one replaces it.

        A vector with NaN or infinity is counted in `unusable` and left out: it would rank
        anywhere.
        """
        usable = np.asarray(np.isfinite(vectors).all(axis=1))
        self.unusable += int((~usable).sum())
        slots = self.slots([text_hashes[at] for at in np.flatnonzero(usable).tolist()])
        for slot, vector in zip(slots.tolist(), vectors[usable], strict=True):
            place = int(self._place_of.view[slot])
            if place >= 0 and np.array_equal(self._at(place), vector):
                continue
            if place >= 0:
                self._place_of.detach()
            self._place_of.view[slot] = self._append(vector)

    def _append(self, vector: Array) -> int:
        if self._count == len(self._chunks) * CHUNK_VECTORS:
            self._chunks.append(np.empty((CHUNK_VECTORS, self.dim), dtype=np.float32))
        self._chunks[-1][self._count % CHUNK_VECTORS] = vector
        self._count += 1
        return self._count - 1

    def _at(self, place: int) -> Array:
        return np.asarray(self._chunks[place // CHUNK_VECTORS][place % CHUNK_VECTORS])

    def view(self) -> VectorsView:
        return VectorsView(tuple(self._chunks), self._count, self.dim, self._place_of.view)


def best(scores: Array, k: int) -> Array:
    """Where the k highest scores are, and all that tie with the last of them; in no order."""
    if len(scores) <= k:
        return np.arange(len(scores))
    lowest = np.partition(scores, len(scores) - k)[len(scores) - k]
    return np.flatnonzero(scores >= lowest)
