"""The vectors as they were at one moment: a segment on disk, and a tail in memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np

from recall_daemon.index.growable import Array

CHUNK_VECTORS = 4_096
# Below this share of the tail, gathering the vectors that pass is faster than scanning all.
_GATHER_SHARE = 0.1


class Nearest(Protocol):
    """What the view needs of a segment's files."""

    def nearest(self, query: Array, bits: Array, kept: int, k: int) -> tuple[Array, Array]: ...

    def at(self, places: Array) -> Array: ...


@dataclass(frozen=True, slots=True, eq=False)
class SegmentView:
    """A segment, and what the index knows of its vectors. All arrays are by place.

    `counts`: not replaced by a later vector of the same text. `number`: another one for each
    object, so that who remembers it keeps no segment open.
    """

    files: Nearest
    slot: Array
    counts: Array
    start_char: Array
    end_char: Array
    number: int = field(init=False, default_factory=itertools.count(1).__next__)

    def __len__(self) -> int:
        return len(self.slot)


class Scan(Protocol):
    """What the view needs of codes; see `codes.CodeScan`."""

    def __len__(self) -> int: ...

    def nearest(
        self, query: Array, bits: Array, kept: int, k: int, at: Callable[[Array], Array]
    ) -> tuple[Array, Array]: ...


@dataclass(frozen=True, slots=True)
class Tail:
    """The newest vectors. Arrays are by place, less the segment's length.

    Places from `count` on are of later changes: the arrays grow, and are never changed in place.
    `coded`: the codes of the first places, up to the end of a text; the rest is searched exactly.
    """

    chunks: tuple[Array, ...]
    count: int
    dim: int
    slot: Array
    counts: Array
    start_char: Array
    end_char: Array
    coded: Scan | None = None

    def at(self, places: Array) -> Array:
        """The vectors at these places, shape (len(places), dim)."""
        found = np.empty((len(places), self.dim), dtype=np.float32)
        which = places // CHUNK_VECTORS
        for number in np.unique(which):
            here = which == number
            found[here] = self.chunks[number][places[here] % CHUNK_VECTORS]
        return found

    def scores(self, query: Array, places: Array) -> Array:
        """The inner product of `query` and the vector at each place, float32.

        `places` ascend, and there is one at least.
        """
        first = int(places[0]) // CHUNK_VECTORS
        start = first * CHUNK_VECTORS
        if len(places) < (self.count - start) * _GATHER_SHARE:
            return np.asarray(self.at(places) @ query)
        everything = np.empty(self.count - start, dtype=np.float32)
        for at, chunk in zip(
            range(0, len(everything), CHUNK_VECTORS), self.chunks[first:], strict=True
        ):
            part = everything[at : at + CHUNK_VECTORS]
            np.dot(chunk[: len(part)], query, out=part)
        return np.asarray(everything[places - start])

    def nearest(self, query: Array, texts: Array, k: int) -> tuple[Array, Array]:
        """Distinct slots among `texts` and the scores of their best passages here, in no order.

        The k best are among them, if so many pass.
        """
        passing = texts[self.slot[: self.count]] & self.counts[: self.count]
        coded = 0 if self.coded is None else len(self.coded)
        slots, scores = self._exactly(query, coded + np.flatnonzero(passing[coded:]))
        kept = int(np.count_nonzero(passing[:coded]))
        if self.coded is None or not kept:
            return slots, scores
        bits = np.packbits(passing[:coded], bitorder="little")
        search = partial(self.coded.nearest, query, bits, kept, at=self.at)
        found, found_scores = nearest_texts(search, self.slot, kept, k)
        return np.concatenate([slots, found]), np.concatenate([scores, found_scores])

    def _exactly(self, query: Array, places: Array) -> tuple[Array, Array]:
        if not len(places):
            return np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32)
        scores, slots = self.scores(query, places), self.slot[places]
        starts = np.flatnonzero(np.concatenate([[True], slots[1:] != slots[:-1]]))
        return slots[starts], np.maximum.reduceat(scores, starts)


@dataclass(frozen=True, slots=True)
class VectorsView:
    """The vectors of one space. Places are those of the segment, then those of the tail.

    A text's passages lie side by side: from `first_of`, `length_of` of them, both by slot. What
    came after this view was taken has a place at or past `count`.
    """

    space_id: str
    segment: SegmentView | None
    tail: Tail
    first_of: Array
    length_of: Array

    @property
    def sealed(self) -> int:
        return 0 if self.segment is None else len(self.segment)

    @property
    def segment_no(self) -> int:
        """0 without a segment."""
        return 0 if self.segment is None else self.segment.number

    @property
    def count(self) -> int:
        return self.sealed + self.tail.count

    def runs(self, slots: Array) -> tuple[Array, Array]:
        """Each slot's first place, and how many it has: 0 without a vector."""
        known = (slots >= 0) & (slots < len(self.first_of))
        first = np.full(len(slots), -1, dtype=np.int64)
        length = np.zeros(len(slots), dtype=np.int64)
        first[known] = self.first_of[slots[known]]
        length[known] = self.length_of[slots[known]]
        length = np.clip(length, 0, np.maximum(self.count - first, 0))
        length[first < 0] = 0
        return first, length

    def best(self, query: Array, first: Array, length: Array) -> tuple[Array, Array]:
        """Of each run (none empty) the highest inner product with `query`, and its place."""
        if not len(first):
            return np.empty(0, dtype=np.float32), np.empty(0, dtype=np.int64)
        starts = np.cumsum(length) - length
        places = np.repeat(first - starts, length) + np.arange(int(length.sum()))
        scores = self.at(places) @ query
        highest = np.maximum.reduceat(scores, starts)
        hits = np.flatnonzero(scores == np.repeat(highest, length))
        run = np.repeat(np.arange(len(first)), length)[hits]
        _, leading = np.unique(run, return_index=True)
        return highest, places[hits[leading]]

    def at(self, places: Array) -> Array:
        """The vectors at these places, float32 of shape (len(places), dim)."""
        if self.segment is None:
            return self.tail.at(places)
        found = np.empty((len(places), self.tail.dim), dtype=np.float32)
        inside = places < self.sealed
        found[inside] = self.segment.files.at(places[inside])
        found[~inside] = self.tail.at(places[~inside] - self.sealed)
        return found

    def span(self, place: int) -> tuple[int, int | None]:
        """The characters [start, end) of a place's passage; an end of None is not known."""
        part: SegmentView | Tail = self.tail
        if self.segment is not None and place < self.sealed:
            part = self.segment
        else:
            place -= self.sealed
        end = int(part.end_char[place])
        return int(part.start_char[place]), None if end < 0 else end

    def nearest(
        self, query: Array, texts: Array, bits: Array, kept: int, k: int
    ) -> tuple[Array, Array]:
        """The k texts (or more, where they tie) nearest to `query` by their best passage.

        `texts`: which slots may be found; `bits` and `kept`: which of the segment's places.
        Returns distinct slots and their scores, in no order. Fewer only where fewer pass.
        """
        slots, scores = self.tail.nearest(query, texts, k)
        if self.segment is not None and kept:
            search = partial(self.segment.files.nearest, query, bits, kept)
            sealed, sealed_scores = nearest_texts(search, self.segment.slot, kept, k)
            slots = np.concatenate([slots, sealed])
            scores = np.concatenate([scores, sealed_scores])
        # A text's vectors lie in one part, so that no slot is there twice.
        chosen = best(scores, k)
        return slots[chosen], scores[chosen]


def nearest_texts(
    search: Callable[[int], tuple[Array, Array]], slot: Array, kept: int, k: int
) -> tuple[Array, Array]:
    """At least k distinct texts, if so many pass, with the score of their best passage.

    `search` gives at least so many of the `kept` places that pass, with their scores.
    """
    wanted = 2 * k + 100
    while True:
        places, scores = search(wanted)
        slots, which = np.unique(slot[places], return_inverse=True)
        if len(slots) >= k or wanted >= kept or len(places) < min(wanted, kept):
            break
        wanted *= 4  # many passages of few texts
    highest = np.full(len(slots), -np.inf, dtype=np.float32)
    np.maximum.at(highest, which, scores)
    return slots, highest


def best(scores: Array, k: int) -> Array:
    """Where the k highest scores are, and all that tie with the last of them; in no order."""
    if len(scores) <= k:
        return np.arange(len(scores))
    lowest = np.partition(scores, len(scores) - k)[len(scores) - k]
    return np.flatnonzero(scores >= lowest)
