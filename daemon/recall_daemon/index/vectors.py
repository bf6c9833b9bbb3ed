"""The vectors of one embedding space: takes them in, and seals the tail into segments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from recall_daemon.index.codes import CodeScan, encode
from recall_daemon.index.growable import Array, Growable
from recall_daemon.index.sealing import SealPlan
from recall_daemon.index.segment import ROW, Manifest, SegmentFiles
from recall_daemon.index.slots import Keys, TextSlots, keys_of
from recall_daemon.index.vectors_view import CHUNK_VECTORS, SegmentView, Tail, VectorsView

# Half floats end at 65,504; a vector with a larger number is no embedding.
LARGEST = 60_000.0
# A segment is rewritten when the tail is full.
TAIL_MIN = 16_384
_TAIL_SHARE = 32


@dataclass(frozen=True, slots=True)
class Changes:
    """A batch of passages as arrays of equal length, `matrix` float32 of shape (n, dim)."""

    slot: Array
    change_no: Array
    number: Array
    start_char: Array
    end_char: Array
    matrix: Array

    def take(self, at: Array) -> Changes:
        return Changes(*(getattr(self, name)[at] for name in self.__slots__))


class Vectors:
    """The writing side. One thread only, but `seal` may run beside it.

    The tail takes 4.5 x dim bytes a vector, and 50 more for each vector in either part.
    """

    def __init__(
        self, slots: TextSlots, dim: int, *, space_id: str = "", store_id: str = ""
    ) -> None:
        self.dim = dim
        self.space_id = space_id
        self.store_id = store_id
        self.unusable = 0
        self.watermark = 0
        self._slots = slots
        self._first_of = Growable(np.int32, fill=-1)
        self._length_of = Growable(np.int32)
        self._segment: SegmentView | None = None
        self._files: SegmentFiles | None = None
        self._generation = 0
        self._begin_tail()

    def _begin_tail(self) -> None:
        self._chunks: list[Array] = []
        self._tail = Growable(ROW)
        self._tail_slot = Growable(np.int32)
        self._tail_counts = Growable(np.bool_)
        self._tail_start = Growable(np.int32)
        self._tail_end = Growable(np.int32)
        self._tail_codes = np.empty(0, dtype=np.uint8)
        self._coded: CodeScan | None = None

    def __len__(self) -> int:
        """Vectors that count, in both parts."""
        return int(self._length_of.view.sum())

    @property
    def slots(self) -> int:
        """How many texts have a slot."""
        return len(self._slots)

    @property
    def sealed(self) -> int:
        return 0 if self._segment is None else len(self._segment)

    def held(self) -> tuple[Keys, Array, Array]:
        """The texts that have vectors, how many, and the change_no of the last of them."""
        slots = np.flatnonzero(self._length_of.view)
        length = self._length_of.view[slots]
        newest = self._changes_at(self._first_of.view[slots] + length - 1)
        return self._slots.keys.at(slots), length, newest

    def held_of(self, keys: Keys) -> tuple[Array, Array]:
        """Of each text how many vectors it has, and the change_no of the last of them; 0 and any
        number where it has none."""
        slots = self._slots.find(keys)
        known = (slots >= 0) & (slots < len(self._length_of))
        first, length = self._first_of.view[slots[known]], self._length_of.view[slots[known]]
        counts, newest = np.zeros(len(keys), np.int64), np.full(len(keys), -1, np.int64)
        counts[known], newest[known] = length, self._changes_at(first + length - 1)
        return counts, newest

    @property
    def tail_length(self) -> int:
        return len(self._tail_slot)

    @property
    def is_full(self) -> bool:
        """Whether the tail is due to be sealed."""
        return self.tail_length >= max(TAIL_MIN, self.sealed // _TAIL_SHARE)

    def put(self, changes: pa.Table, matrix: Array) -> None:
        """Take the passages in; `matrix` are their vectors. The same again changes nothing.

        Passage 0 replaces all that its text had. A vector with NaN or infinity is counted in
        `unusable` and left out: it would rank anywhere.
        """
        if not changes.num_rows:
            return
        ends = changes["end_char"].fill_null(-1)
        batch = Changes(
            slot=self._slots.of_keys(keys_of(changes["text_hash"])),
            change_no=changes["change_no"].to_numpy(),
            number=changes["passage"].to_numpy(),
            start_char=changes["start_char"].to_numpy(),
            end_char=ends.to_numpy(),
            matrix=matrix,
        )
        self._first_of.resize(len(self._slots))
        self._length_of.resize(len(self._slots))
        self._take(batch.take(self._is_new(batch)))
        self.watermark = max(self.watermark, int(batch.change_no.max()))

    def retake(self, keys: Keys, passages: pa.Table, matrix: Array) -> None:
        """Have these texts have just these passages, as `put` takes them, whatever they had."""
        slots = np.unique(self._slots.find(keys))
        slots = slots[(slots >= 0) & (slots < len(self._length_of))]
        self._forget(slots[self._length_of.view[slots] > 0])
        watermark = self.watermark
        self.put(passages, matrix)
        self.watermark = watermark  # of others, less may have been seen

    def _is_new(self, batch: Changes) -> Array:
        """Where a batch holds what is not applied, in its order."""
        first, length = self._first_of.view[batch.slot], self._length_of.view[batch.slot]
        newest = np.where(length > 0, self._changes_at(first + length - 1), -1)
        return np.flatnonzero(batch.change_no > newest)

    def _changes_at(self, places: Array) -> Array:
        """The change_no at each place; any number where the place is none."""
        found = np.full(len(places), -1, dtype=np.int64)
        inside = (places >= 0) & (places < self.sealed)
        if self._files is not None:
            found[inside] = self._files.rows["change_no"][places[inside]]
        after = places >= self.sealed
        found[after] = self._tail.view["change_no"][places[after] - self.sealed]
        return found

    def _take(self, batch: Changes) -> None:
        if not len(batch.slot):
            return
        # Side by side, each text's passages; a text comes whole, or goes on from the last batch.
        batch = batch.take(np.lexsort((batch.change_no, batch.slot)))
        slots, starts = np.unique(batch.slot, return_index=True)
        begins = np.zeros(len(self._slots), dtype=np.bool_)
        begins[batch.slot[batch.number == 0]] = True
        had = self._length_of.view[slots] > 0
        for slot, start in zip(
            slots[had & ~begins[slots]], starts[had & ~begins[slots]], strict=True
        ):
            batch = self._with_earlier(batch, int(slot), int(start))
        self._forget(slots[had])
        with np.errstate(invalid="ignore"):
            usable = np.abs(batch.matrix).max(axis=1, initial=0) <= LARGEST
        self.unusable += int(np.count_nonzero(~usable))
        self._append(batch.take(np.flatnonzero(usable)))

    def _with_earlier(self, batch: Changes, slot: int, start: int) -> Changes:
        """The batch with the passages that came before, so that all lie side by side again."""
        first = int(self._first_of.view[slot])
        places = np.arange(first, first + int(self._length_of.view[slot]))
        rows = self._rows_at(places)
        earlier = Changes(
            slot=np.full(len(places), slot, dtype=batch.slot.dtype),
            change_no=rows["change_no"],
            number=rows["number"],
            start_char=rows["start_char"],
            end_char=rows["end_char"],
            matrix=self.view().at(places),
        )
        at = int(np.flatnonzero(batch.slot == slot)[0])
        return Changes(
            *(
                np.concatenate([old[:at], getattr(earlier, name), old[at:]])
                for name in Changes.__slots__
                for old in [getattr(batch, name)]
            )
        )

    def _rows_at(self, places: Array) -> Array:
        rows = np.empty(len(places), dtype=ROW)
        inside = places < self.sealed
        if self._files is not None:
            rows[inside] = self._files.rows[places[inside]]
        rows[~inside] = self._tail.view[places[~inside] - self.sealed]
        return rows

    def _forget(self, slots: Array) -> None:
        """The vectors of these texts count no more."""
        if not len(slots):
            return
        first, length = self._first_of.view[slots], self._length_of.view[slots]
        starts = np.cumsum(length) - length
        places = np.repeat(first - starts, length) + np.arange(int(length.sum()))
        inside = places < self.sealed
        if self._segment is not None and inside.any():
            counts = self._segment.counts.copy()
            counts[places[inside]] = False
            self._segment = replace(self._segment, counts=counts)
        if (~inside).any():
            self._tail_counts.detach()
            self._tail_counts.view[places[~inside] - self.sealed] = False
        self._first_of.detach()
        self._length_of.detach()
        self._first_of.view[slots] = -1
        self._length_of.view[slots] = 0

    def _append(self, batch: Changes) -> None:
        """`batch` has each text's passages side by side, of texts that have none."""
        if not len(batch.slot):
            return
        start = self.sealed + self.tail_length
        slots, starts, lengths = np.unique(batch.slot, return_index=True, return_counts=True)
        # An older view has these slots with a length of 0, or a place past its count.
        self._first_of.view[slots] = start + starts
        self._length_of.view[slots] = lengths
        self._append_matrix(batch.matrix)
        rows = np.empty(len(batch.slot), dtype=ROW)
        keys = self._slots.keys.at(batch.slot)
        rows["high"], rows["low"] = keys.high, keys.low
        for name in ("change_no", "number", "start_char", "end_char"):
            rows[name] = getattr(batch, name)
        self._tail.extend(rows)
        self._tail_slot.extend(batch.slot)
        self._tail_start.extend(batch.start_char)
        self._tail_end.extend(batch.end_char)
        self._tail_counts.extend(np.ones(len(rows), dtype=np.bool_))
        self._code_tail()

    def _append_matrix(self, matrix: Array) -> None:
        at, done = self.tail_length, 0
        while done < len(matrix):
            if at == len(self._chunks) * CHUNK_VECTORS:
                self._chunks.append(np.empty((CHUNK_VECTORS, self.dim), dtype=np.float32))
            place = at % CHUNK_VECTORS
            count = min(len(matrix) - done, CHUNK_VECTORS - place)
            self._chunks[-1][place : place + count] = matrix[done : done + count]
            at, done = at + count, done + count

    def _code_tail(self) -> None:
        """Code the tail's whole chunks, by the segment's book, up to the end of a text."""
        done = 0 if self._coded is None else len(self._coded)
        upto = self.tail_length // CHUNK_VECTORS * CHUNK_VECTORS
        if self._files is None or upto // CHUNK_VECTORS <= -(-done // CHUNK_VECTORS):
            return
        # By a book that was made from few vectors, others look all the same.
        if self._files.manifest.trained_on < CHUNK_VECTORS:
            return
        slots = self._tail_slot.view
        while done < upto < len(slots) and slots[upto] == slots[upto - 1]:
            upto -= 1
        if upto == done:
            return
        book = self._files.book
        new = encode(book, self.view().tail.at(np.arange(done, upto)))
        codes = np.concatenate([self._tail_codes, new]) if done else new
        self._coded = CodeScan(codes, book, self.dim)
        self._tail_codes = codes

    def view(self) -> VectorsView:
        return VectorsView(
            space_id=self.space_id,
            segment=self._segment,
            tail=Tail(
                chunks=tuple(self._chunks),
                count=self.tail_length,
                dim=self.dim,
                slot=self._tail_slot.view,
                counts=self._tail_counts.view,
                start_char=self._tail_start.view,
                end_char=self._tail_end.view,
                coded=self._coded,
            ),
            first_of=self._first_of.view,
            length_of=self._length_of.view,
        )

    # Sealing

    def open(self, files: SegmentFiles) -> None:
        """Begin with a segment that was sealed before."""
        self._begin(files)
        self._generation = files.manifest.generation
        self.watermark, self.unusable = files.manifest.watermark, files.manifest.unusable

    def plan(
        self, folder: Path, alive: Array, settled: int, stopped: Callable[[], bool]
    ) -> SealPlan:
        """What a new segment would hold. `alive`: which slots have a live row.

        Leaves out what was replaced, and what no row has any more; vectors past `settled` stay in
        any case, for their rows may not be known yet.
        """
        self._generation += 1
        view = self.view()
        count = view.tail.count
        rows = self._tail.view[:count]
        tail_kept = alive[view.tail.slot[:count]] | (rows["change_no"] > settled)
        kept = np.empty(0, dtype=np.bool_)
        if self._segment is not None and self._files is not None:
            kept = alive[self._segment.slot] | (self._files.rows["change_no"] > settled)
            kept &= self._segment.counts
        base = Manifest(
            generation=self._generation,
            store_id=self.store_id,
            space_id=self.space_id,
            dim=self.dim,
            vectors=0,
            watermark=self.watermark,
            unusable=self.unusable,
            trained_on=0,
            files={},
        )
        return SealPlan(
            folder=folder,
            base=base,
            segment=self._files,
            kept=kept,
            tail=view.tail,
            tail_rows=rows,
            tail_kept=tail_kept & view.tail.counts[:count],
            stopped=stopped,
        )

    def swap(self, plan: SealPlan, files: SegmentFiles | None) -> None:
        """Go on with the new segment; what came since the plan was made is the new tail."""
        before, tail = self._segment, self.view().tail
        counts = tail.counts[: plan.tail.count][plan.tail_kept]
        if before is not None:
            counts = np.concatenate([before.counts[plan.kept], counts])
        later = np.arange(plan.tail.count, tail.count)
        later = later[tail.counts[later]]
        rows = self._tail.view[later]
        rest = Changes(
            slot=tail.slot[later],
            matrix=tail.at(later),
            change_no=rows["change_no"],
            number=rows["number"],
            start_char=rows["start_char"],
            end_char=rows["end_char"],
        )
        self._begin(files, counts)
        self._append(rest)

    def _begin(self, files: SegmentFiles | None, counts: Array | None = None) -> None:
        """Go on with a segment, or none, and an empty tail."""
        self._files, self._segment = files, None
        self._begin_tail()
        self._first_of = Growable(np.int32, fill=-1)
        self._length_of = Growable(np.int32)
        if files is not None:
            slots = self._slots.of_keys(files.keys)
            self._segment = SegmentView(
                files=files,
                slot=slots,
                counts=np.ones(len(slots), dtype=np.bool_) if counts is None else counts,
                start_char=np.ascontiguousarray(files.rows["start_char"]),
                end_char=np.ascontiguousarray(files.rows["end_char"]),
            )
        self._first_of.resize(len(self._slots))
        self._length_of.resize(len(self._slots))
        if self._segment is not None:
            self._place(self._segment)

    def _place(self, segment: SegmentView) -> None:
        """Where each text's vectors are, in a segment."""
        places = np.flatnonzero(segment.counts)
        slots = segment.slot[places]
        begins = np.flatnonzero(np.concatenate([[True], slots[1:] != slots[:-1]])[: len(slots)])
        self._first_of.view[slots[begins]] = places[begins]
        self._length_of.view[slots[begins]] = np.diff(np.append(begins, len(slots)))
