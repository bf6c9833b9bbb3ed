"""Makes a new segment from the one before and the tail, beside both; nothing here is shared.

Codes of vectors that stay are copied, not made again. Peak memory is about the size of the new
`ivf` file (one byte a number) and 64 MB: the matrix is streamed.
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
# k-means on this many vectors a list, in this many rounds: 9 s for 4,096 lists on one core, and no
# worse in recall than four times the vectors and twice the rounds.
_TRAINING_VECTORS = 16
_TRAINING_ROUNDS = 4
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


def lists_for(vectors: int) -> int:
    """A power of two at or above 4 * sqrt(vectors), and no more than there are vectors."""
    wanted = int(np.ceil(np.log2(4 * np.sqrt(vectors))))
    return 1 << min(wanted, int(np.log2(vectors)))


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
    trained_on = 0

    def write_ivf(plan: SealPlan, path: Path) -> None:
        nonlocal trained_on
        ivf, trained_on = _ivf(plan)
        faiss.write_index(ivf, str(path))

    writers = {"f16": _write_matrix, "rows": _write_rows, "ivf": write_ivf}
    files: dict[str, tuple[int, int]] = {}
    for suffix, write in writers.items():
        path = plan.folder / file_name(plan.base.generation, suffix)
        write(plan, path)
        sync(path)
        size = path.stat().st_size
        files[path.name] = (size, crc32_of(path, size))
    sync(plan.folder)
    return replace(plan.base, vectors=plan.vectors, trained_on=trained_on, files=files)


def _ivf(plan: SealPlan) -> tuple[Any, int]:
    count, old = plan.vectors, plan.segment
    if old is not None and count < old.manifest.trained_on * _TRAIN_AGAIN_FACTOR:
        ivf = _untrained(plan.base.dim, old.ivf.nlist)
        ivf.quantizer.add(old.ivf.quantizer.reconstruct_n(0, old.ivf.nlist))
        ivf.sq = old.ivf.sq
        ivf.is_trained = True
        _copy_lists(plan, old, ivf)
        start = int(np.count_nonzero(plan.kept))
        _add(ivf, _tail_pieces(plan), start)
        return ivf, old.manifest.trained_on
    ivf = _untrained(plan.base.dim, lists_for(count))
    ivf.train(_sample(plan, ivf.nlist * _TRAINING_VECTORS))
    _add(ivf, _pieces(plan), 0)
    return ivf, count


def _untrained(dim: int, lists: int) -> Any:
    quantizer: Any = faiss.IndexFlatIP(dim)
    ivf: Any = faiss.IndexIVFScalarQuantizer(
        quantizer, dim, lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT, False
    )
    quantizer.this.disown()
    ivf.own_fields = True
    ivf.cp.niter = _TRAINING_ROUNDS
    ivf.cp.spherical = True
    ivf.cp.min_points_per_centroid = 1
    return ivf


def _copy_lists(plan: SealPlan, old: SegmentFiles, ivf: Any) -> None:
    new_place = np.where(plan.kept, np.cumsum(plan.kept) - 1, -1).astype(np.int64)
    source, code_bytes = old.ivf.invlists, old.ivf.code_size
    for number in range(old.ivf.nlist):
        _go_on(plan)
        size = source.list_size(number)
        if not size:
            continue
        ids, codes = source.get_ids(number), source.get_codes(number)
        places = new_place[faiss.rev_swig_ptr(ids, size)]
        stay = places >= 0
        kept = np.ascontiguousarray(
            faiss.rev_swig_ptr(codes, size * code_bytes).reshape(size, code_bytes)[stay]
        )
        places = np.ascontiguousarray(places[stay])
        ivf.invlists.add_entries(number, len(places), faiss.swig_ptr(places), faiss.swig_ptr(kept))
        source.release_ids(number, ids)
        source.release_codes(number, codes)
    ivf.ntotal = int(np.count_nonzero(plan.kept))


def _add(ivf: Any, pieces: Iterator[Array], start: int) -> None:
    for piece in pieces:
        ivf.add_with_ids(piece, np.arange(start, start + len(piece), dtype=np.int64))
        start += len(piece)


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
    places = np.flatnonzero(plan.kept)
    for start in range(0, len(places), _PIECE_VECTORS):
        _go_on(plan)
        assert plan.segment is not None
        yield plan.segment.matrix[places[start : start + _PIECE_VECTORS]]


def _tail_pieces(plan: SealPlan) -> Iterator[Array]:
    places = np.flatnonzero(plan.tail_kept)
    for start in range(0, len(places), _PIECE_VECTORS):
        _go_on(plan)
        yield plan.tail.at(places[start : start + _PIECE_VECTORS])


def _go_on(plan: SealPlan) -> None:
    if plan.stopped():
        raise SealStopped("the index is being closed")


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
