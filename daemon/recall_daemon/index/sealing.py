"""Makes a new segment from the one before and the tail, beside both; nothing here is shared.

Codes of vectors that stay are copied, not made again. What is written is streamed: memory is that
of the new segment's codes, twice while they are packed, and some 250 MB.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from recall_daemon.index.codes import quantiser
from recall_daemon.index.durable import crc32_of, remove, sync, write_json
from recall_daemon.index.growable import Array
from recall_daemon.index.segment import (
    MANIFEST,
    ROW,
    SUFFIXES,
    Manifest,
    SegmentFiles,
    file_name,
)
from recall_daemon.index.vectors_view import Tail
from recall_wire.errors import TransientError

_PIECE_VECTORS = 65_536
# k-means of 16 centroids in two dimensions needs no more: 1 s on one core.
_TRAINING_VECTORS = 16_384
_TRAIN_AGAIN_FACTOR = 2


class SealStopped(TransientError):
    """The index was closed while a segment was being made."""


@dataclass(frozen=True, slots=True)
class SealPlan:
    """What goes into a new segment, as it was at one moment.

    `kept` and `tail_kept` are masks by place; `tail_rows` has the dtype `ROW`, by place of the
    tail. `base` names the new segment but for its files and vectors. Once `stopped`, the segment
    is given up.
    """

    folder: Path
    base: Manifest
    segment: SegmentFiles | None
    kept: Array
    tail: Tail
    tail_rows: Array
    tail_kept: Array
    stopped: Callable[[], bool]

    @property
    def vectors(self) -> int:
        return int(np.count_nonzero(self.kept)) + int(np.count_nonzero(self.tail_kept))


def seal(plan: SealPlan) -> SegmentFiles | None:
    """Write the segment, have it reach the disk, and make it the folder's by one rename.

    Runs with one OpenMP thread, so that searches keep the other core. None where no vector is
    left: then the folder has no segment.
    """
    if not plan.vectors:
        (plan.folder / MANIFEST).unlink(missing_ok=True)
        sync(plan.folder)
        return None
    try:
        manifest = _write_files(plan)
        opened = SegmentFiles(plan.folder, manifest)
    except BaseException:
        # The disk may be full of just these.
        for suffix in SUFFIXES:
            remove(plan.folder / file_name(plan.base.generation, suffix))
        raise
    write_json(plan.folder / MANIFEST, manifest.to_json())
    return opened


def _write_files(plan: SealPlan) -> Manifest:
    faiss.omp_set_num_threads(1)
    codes = _Codes.of(plan)
    writers = {
        "codes": codes.write,
        "book": codes.write_book,
        "f16": _write_matrix,
        "rows": _write_rows,
    }
    files: dict[str, tuple[int, int]] = {}
    for suffix, write in writers.items():
        path = plan.folder / file_name(plan.base.generation, suffix)
        write(plan, path)
        sync(path)
        size = path.stat().st_size
        files[path.name] = (size, crc32_of(path, size))
    sync(plan.folder)
    return replace(plan.base, vectors=plan.vectors, trained_on=codes.trained_on, files=files)


@dataclass(frozen=True, slots=True)
class _Codes:
    """A trained quantiser; `copied`: the segment before has its codes."""

    quantiser: Any
    trained_on: int
    copied: bool

    @classmethod
    def of(cls, plan: SealPlan) -> _Codes:
        count, old = plan.vectors, plan.segment
        made = quantiser(plan.base.dim)
        if old is not None and count < old.manifest.trained_on * _TRAIN_AGAIN_FACTOR:
            faiss.copy_array_to_vector(old.book, made.centroids)
            return cls(made, old.manifest.trained_on, copied=True)
        made.cp.min_points_per_centroid = 1
        sample = _sample(plan, _TRAINING_VECTORS)
        # FAISS wants no fewer vectors than centroids; the same ones again will do.
        made.train(np.resize(sample, (max(len(sample), made.ksub), plan.base.dim)))
        return cls(made, count, copied=False)

    def write(self, plan: SealPlan, path: Path) -> None:
        with path.open("wb") as file:
            if self.copied and plan.segment is not None:
                for places in _places(plan.kept, plan):
                    file.write(plan.segment.codes[places].tobytes())
                pieces = _tail_pieces(plan)
            else:
                pieces = _pieces(plan)
            for piece in pieces:
                file.write(self.quantiser.compute_codes(piece).tobytes())

    def write_book(self, plan: SealPlan, path: Path) -> None:
        faiss.vector_to_array(self.quantiser.centroids).astype(np.float32).tofile(path)


def _sample(plan: SealPlan, wanted: int) -> Array:
    """At most `wanted` vectors, drawn by a seed that is always the same."""
    count = plan.vectors
    chosen = np.zeros(count, dtype=np.bool_)
    chosen[np.random.default_rng(0).permutation(count)[:wanted]] = True
    start, parts = 0, []
    for piece in _pieces(plan):
        parts.append(piece[chosen[start : start + len(piece)]])
        start += len(piece)
    return np.concatenate(parts)


def _pieces(plan: SealPlan) -> Iterator[Array]:
    """Every vector that stays, float32, in the order of the new places."""
    for piece in _sealed_pieces(plan):
        yield piece.astype(np.float32)
    yield from _tail_pieces(plan)


def _sealed_pieces(plan: SealPlan) -> Iterator[Array]:
    """What stays of the segment before, as half floats."""
    if plan.segment is not None:
        for places in _places(plan.kept, plan):
            yield plan.segment.matrix[places]


def _tail_pieces(plan: SealPlan) -> Iterator[Array]:
    for places in _places(plan.tail_kept, plan):
        yield plan.tail.at(places)


def _places(kept: Array, plan: SealPlan) -> Iterator[Array]:
    """Where the mask is true, piece by piece. Raises `SealStopped`."""
    places = np.flatnonzero(kept)
    for start in range(0, len(places), _PIECE_VECTORS):
        if plan.stopped():
            raise SealStopped("the index is being closed")
        yield places[start : start + _PIECE_VECTORS]


def _write_matrix(plan: SealPlan, path: Path) -> None:
    with path.open("wb") as file:
        for half in _sealed_pieces(plan):
            file.write(half.tobytes())
        for piece in _tail_pieces(plan):
            file.write(piece.astype(np.float16).tobytes())


def _write_rows(plan: SealPlan, path: Path) -> None:
    rows = plan.tail_rows[plan.tail_kept]
    if plan.segment is not None:
        rows = np.concatenate([plan.segment.rows[plan.kept], rows])
    np.ascontiguousarray(rows, dtype=ROW).tofile(path)


def remove_others(folder: Path, files: SegmentFiles | None) -> None:
    """Remove every file of the folder that the segment does not need.

    Views that still search an older segment keep what they have mapped. What cannot be removed
    now is, at the next start.
    """
    keep = set() if files is None else {MANIFEST, *files.manifest.files}
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            if name not in keep:
                remove(folder / name)
