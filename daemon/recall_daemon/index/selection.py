"""Which rows, texts and vectors of the segment pass a filter: kept, and brought up to each view.

Making a selection costs milliseconds at 1,000,000 rows; bringing one up to a later view costs what
has changed since, because a row's fields never change: rows are only appended, and die.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from recall_daemon.index.columns_view import ColumnsView, Epoch
from recall_daemon.index.filters import CodedFilters
from recall_daemon.index.growable import Array
from recall_daemon.index.vectors_view import SegmentView, VectorsView

# Each takes 2.1 bytes a row: 35 MB at 1,000,000.
KEPT = 16
# Above this many changed texts the bits are made anew.
_STEPWISE_MAX = 5_000


@dataclass(frozen=True, slots=True)
class Selection:
    """`rows` by ordinal, `texts` by slot: which have a live row that passes.

    `bits` are the places of segment `segment_no`, packed with the lowest bit first: which have a
    vector that counts and a text that passes; `kept` is how many.
    """

    epoch: Epoch
    deaths: int
    segment_no: int
    rows: Array
    texts: Array
    bits: Array
    kept: int

    def is_of(self, columns: ColumnsView, vectors: VectorsView) -> bool:
        return (
            self.epoch is columns.epoch
            and len(self.rows) == len(columns.live)
            and self.deaths == len(columns.deaths)
            and self.segment_no == vectors.segment_no
            and len(self.texts) >= _texts(columns, vectors)
        )

    def is_before(self, columns: ColumnsView) -> bool:
        """Whether it can be brought up to the view."""
        return (
            self.epoch is columns.epoch
            and len(self.rows) <= len(columns.live)
            and self.deaths <= len(columns.deaths)
        )


class Selections:
    """The selections of the filters used last. Safe from any thread; computes without a lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[CodedFilters, Selection] = OrderedDict()

    def of(self, columns: ColumnsView, vectors: VectorsView, filters: CodedFilters) -> Selection:
        with self._lock:
            last = self._kept.get(filters)
        if last is not None and last.is_of(columns, vectors):
            return last
        if last is not None and last.is_before(columns):
            selection = _brought_up(last, columns, vectors, filters)
        else:
            selection = _made(columns, vectors, filters)
        self._keep(filters, selection)
        return selection

    def _keep(self, filters: CodedFilters, selection: Selection) -> None:
        with self._lock:
            self._kept[filters] = selection
            self._kept.move_to_end(filters)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)


def _made(columns: ColumnsView, vectors: VectorsView, filters: CodedFilters) -> Selection:
    rows = columns.passing_from(0, filters)
    texts = np.zeros(_texts(columns, vectors), dtype=np.bool_)
    slots = columns.slot[rows]
    texts[slots[slots >= 0]] = True
    return _selection(columns, vectors, rows, texts, None)


def _brought_up(
    last: Selection, columns: ColumnsView, vectors: VectorsView, filters: CodedFilters
) -> Selection:
    known = len(last.rows)
    rows = np.concatenate([last.rows, columns.passing_from(known, filters)])
    died = columns.deaths[last.deaths :]
    died = died[rows[died]]
    rows[died] = False
    texts = np.zeros(max(len(last.texts), _texts(columns, vectors)), dtype=np.bool_)
    texts[: len(last.texts)] = last.texts
    appeared = np.unique(columns.slot[known:][rows[known:]])
    appeared = appeared[appeared >= 0]
    appeared = appeared[~texts[appeared]]
    texts[appeared] = True
    vanished = np.unique(columns.slot[died])
    vanished = vanished[vanished >= 0]
    which, ordinals = columns.of_slots(vanished)
    still = np.zeros(len(vanished), dtype=np.bool_)
    still[which[rows[ordinals]]] = True
    texts[vanished[~still]] = False
    changed = np.concatenate([appeared, vanished[~still]])
    stepwise = last.segment_no == vectors.segment_no and len(changed) <= _STEPWISE_MAX
    return _selection(columns, vectors, rows, texts, (last, changed) if stepwise else None)


def _texts(columns: ColumnsView, vectors: VectorsView) -> int:
    return max(len(vectors.first_of), columns.texts)


def _selection(
    columns: ColumnsView,
    vectors: VectorsView,
    rows: Array,
    texts: Array,
    step: tuple[Selection, Array] | None,
) -> Selection:
    segment = vectors.segment
    bits, kept = np.empty(0, dtype=np.uint8), 0
    if segment is not None and step is not None:
        bits, kept = _changed(step[0], segment, vectors, texts, step[1])
    elif segment is not None:
        passing = texts[segment.slot] & segment.counts
        bits, kept = np.packbits(passing, bitorder="little"), int(np.count_nonzero(passing))
    return Selection(
        columns.epoch, len(columns.deaths), vectors.segment_no, rows, texts, bits, kept
    )


def _changed(
    last: Selection, segment: SegmentView, vectors: VectorsView, texts: Array, slots: Array
) -> tuple[Array, int]:
    """The last bits with those of some texts' places set anew."""
    first, length = vectors.runs(slots)
    starts = np.cumsum(length) - length
    places = np.repeat(first - starts, length) + np.arange(int(length.sum()))
    inside = places < len(segment.slot)
    places, passing = places[inside], texts[np.repeat(slots, length)[inside]]
    passing &= segment.counts[places]
    if not len(places):
        return last.bits, last.kept
    bits = last.bits.copy()
    masks = np.left_shift(np.uint8(1), (places & 7).astype(np.uint8))
    before = (bits[places >> 3] & masks) != 0
    np.bitwise_and.at(bits, places >> 3, ~masks)
    np.bitwise_or.at(bits, places[passing] >> 3, masks[passing])
    return bits, last.kept + int(np.count_nonzero(passing)) - int(np.count_nonzero(before))
