"""The vectors of a space in a folder of its own: opened, sealed beside the searches, swapped."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import structlog

from recall_daemon.index.columns_view import ColumnsView
from recall_daemon.index.durable import Damaged, make_folder, remove
from recall_daemon.index.growable import Array
from recall_daemon.index.sealing import SealPlan, SealStopped, remove_others, seal
from recall_daemon.index.segment import MANIFEST, SegmentFiles, open_segment
from recall_daemon.index.slots import TextSlots
from recall_daemon.index.vectors import Vectors

log = structlog.get_logger(__name__)

# What the tail may grow to while a segment is being made: 220 MB at 384 numbers.
TAIL_MAX = 131_072
# How long a full tail waits after a segment could not be made.
SEAL_AGAIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Settled:
    """The rows at a moment at which every change up to `upto`, and no half of any, was in.

    Between the pages of one change a text may have no row, though the next page gives it one.
    """

    columns: ColumnsView
    upto: int


def folder_of(parent: Path, space_id: str) -> Path:
    return parent / hashlib.blake2b(space_id.encode(), digest_size=8).hexdigest()


class Space:
    """One space's vectors, and the making of its segments.

    `vectors` is the applying thread's. Only `seal` runs beside it, in a thread of its own, on what
    a plan has taken of it; then it calls `on_sealed`. Without a folder nothing is ever sealed.
    """

    def __init__(
        self,
        parent: Path | None,
        slots: TextSlots,
        dim: int,
        *,
        space_id: str,
        store_id: str,
        on_sealed: Callable[[], None] = lambda: None,
    ) -> None:
        self.space_id = space_id
        self.vectors = Vectors(slots, dim, space_id=space_id, store_id=store_id)
        self._folder = None if parent is None else folder_of(parent, space_id)
        self._on_sealed = on_sealed
        self._running: SealPlan | None = None
        self._done = threading.Event()
        self._made: SegmentFiles | None = None
        self._failed = False
        self._seal_again_at = 0.0
        self._stop = threading.Event()
        self.why_not_sealed: str | None = None

    def open(self, last_change: int) -> None:
        """Begin with the segment of the folder; one that is damaged is made anew."""
        self.take(self.read(last_change))

    def read(self, last_change: int) -> SegmentFiles | None:
        """The segment of the folder, checked; None where there is none that can be used.

        Touches nothing but the folder, so that something else can be read meanwhile.
        """
        if self._folder is None:
            return None
        make_folder(self._folder.parent)
        make_folder(self._folder)
        files = None
        try:
            files = open_segment(
                self._folder,
                store_id=self.vectors.store_id,
                space_id=self.space_id,
                dim=self.vectors.dim,
                last_change=last_change,
            )
        except Damaged as error:
            log.warning("index.damaged", part="vectors", error=str(error))
            remove(self._folder / MANIFEST)
        remove_others(self._folder, files)
        return files

    def take(self, files: SegmentFiles | None) -> None:
        """Begin with what was read."""
        if files is not None:
            self.vectors.open(files)

    @property
    def is_sealing(self) -> bool:
        return self._running is not None

    def keep_up(self, settled: Settled, *, wait: bool = False) -> bool:
        """Take in a segment that is made, and begin another when the tail is full.

        Waits for one that is being made where the tail has become too long, or `wait` says so.
        Returns whether there is a new segment.
        """
        swapped = self._swap(wait=wait or self.vectors.tail_length >= TAIL_MAX)
        if self._folder is not None and self._running is None and self._is_due():
            self._begin(self._folder, settled)
            if wait or self.vectors.tail_length >= TAIL_MAX:
                swapped = self._swap(wait=True) or swapped
        return swapped

    def _is_due(self) -> bool:
        return self.vectors.is_full and time.monotonic() >= self._seal_again_at

    def _begin(self, folder: Path, settled: Settled) -> None:
        alive = _alive(settled.columns, self.vectors)
        self._running = self.vectors.plan(folder, alive, settled.upto, self._stop.is_set)
        # Whatever ends the thread, only a segment that is whole counts.
        self._made, self._failed = None, True
        self._done.clear()
        threading.Thread(target=self._seal, name="seal", daemon=True).start()

    def _seal(self) -> None:
        # Nothing here refers to the plan, and so to the segment before: telling may take as long as
        # all changes that are being applied.
        self._make()
        if not self._failed:
            self._on_sealed()

    def _make(self) -> None:
        plan = self._running
        try:
            self._made = seal(plan) if plan is not None else None
            self._failed, self.why_not_sealed = False, None
        except SealStopped:
            pass
        except (OSError, RuntimeError, MemoryError, ValueError, Damaged) as error:
            # The tail has everything that is in no segment; a full tail is sealed again.
            self.why_not_sealed = (str(error).splitlines() or [type(error).__name__])[0]
            log.warning("index.not_sealed", error=self.why_not_sealed)
            self._seal_again_at = time.monotonic() + SEAL_AGAIN_S
        finally:
            self._done.set()

    def _swap(self, *, wait: bool) -> bool:
        if self._running is None:
            return False
        if wait:
            self._done.wait()
        if not self._done.is_set():
            return False
        plan, self._running = self._running, None
        if self._failed:
            return False
        self.vectors.swap(plan, self._made)
        remove_others(plan.folder, self._made)
        return True

    def close(self) -> None:
        """Give up a segment that is being made. Nothing is lost: it is derived."""
        self._stop.set()
        # Not until its thread ends: that may wait for whoever closes this.
        if self._running is not None:
            self._done.wait()

    def remove(self) -> None:
        """Close, and remove the folder."""
        self.close()
        if self._folder is not None:
            remove(self._folder)


def _alive(columns: ColumnsView, vectors: Vectors) -> Array:
    """Which slots have a live row."""
    alive = np.zeros(max(columns.texts, vectors.slots), dtype=np.bool_)
    slots = columns.slot[columns.live]
    alive[slots[slots >= 0]] = True
    return alive
