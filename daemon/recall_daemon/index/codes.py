"""Product-quantised vectors, 4 bits for two numbers: FAISS reads all of them for each query.

(Andre, Kermarrec and Le Scouarnec, "Cache locality is not enough", VLDB 2015.) The best by their
codes are scored again from the vectors themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import faiss
import numpy as np

from recall_daemon.index.growable import Array
from recall_daemon.index.vectors_view import best

# Below this many vectors that pass, all of them are scored: exact, and no slower.
EXACT_MAX = 2_048
# How many candidates are scored again, at least: their order is that of the codes.
MIN_CANDIDATES = 600
CODE_BITS = 4


def quantiser(dim: int) -> Any:
    """An untrained product quantiser of two numbers (one, where `dim` is odd) a code."""
    return faiss.ProductQuantizer(dim, _parts(dim), CODE_BITS)


def encode(book: Array, matrix: Array) -> Array:
    """The codes of the vectors by a trained quantiser's centroids, uint8 of shape (n, bytes)."""
    made = quantiser(matrix.shape[1])
    faiss.copy_array_to_vector(book, made.centroids)
    return np.asarray(made.compute_codes(np.ascontiguousarray(matrix)))


def code_bytes(dim: int) -> int:
    return -(-_parts(dim) * CODE_BITS // 8)


def _parts(dim: int) -> int:
    return dim if dim % 2 else dim // 2


class CodeScan:
    """The codes of some places. Read-only; safe from any thread; searching holds no Python lock."""

    def __init__(self, codes: Array, book: Array, dim: int) -> None:
        # In one list: without one FAISS takes no selector.
        centre: Any = faiss.IndexFlatIP(dim)
        centre.add(np.zeros((1, dim), dtype=np.float32))
        plain: Any = faiss.IndexIVFPQ(
            centre, dim, 1, _parts(dim), CODE_BITS, faiss.METRIC_INNER_PRODUCT
        )
        plain.by_residual = False
        plain.is_trained = True
        faiss.copy_array_to_vector(book, plain.pq.centroids)
        places = np.arange(len(codes), dtype=np.int64)
        plain.invlists.add_entries(0, len(codes), faiss.swig_ptr(places), faiss.swig_ptr(codes))
        plain.ntotal = len(codes)
        packed: Any = faiss.IndexIVFPQFastScan(plain)
        packed.referenced_objects = [centre]  # FAISS borrows it
        self._packed = packed
        self._count = len(codes)

    def __len__(self) -> int:
        return self._count

    def nearest(
        self, query: Array, bits: Array, kept: int, k: int, at: Callable[[Array], Array]
    ) -> tuple[Array, Array]:
        """The best places among those in `bits` (of which there are `kept`), with their scores.

        At least k where so many pass, in no order. `at` gives the vectors of places.
        """
        wanted = max(k, MIN_CANDIDATES)
        # FAISS leaves out what its sums of small numbers take for the worst.
        if kept <= max(EXACT_MAX, wanted):
            places = np.flatnonzero(np.unpackbits(bits, bitorder="little", count=self._count))
            scores = at(places) @ query
            chosen = best(scores, k)
            return places[chosen], scores[chosen]
        places = self._candidates(query, bits, kept, wanted)
        return places, at(places) @ query

    def _candidates(self, query: Array, bits: Array, kept: int, k: int) -> Array:
        # One thread a query: two on two cores wait for each other whenever something else runs,
        # 30 ms instead of 5 were seen. The setting is each calling thread's own.
        faiss.omp_set_num_threads(1)
        wanted: Any = faiss.SearchParametersIVF()
        wanted.nprobe = 1
        if kept < self._count:
            selector = faiss.IDSelectorBitmap(len(bits) * 8, faiss.swig_ptr(bits))
            wanted.sel = selector
        _, places = self._packed.search(query[None, :], k, params=wanted)
        return np.asarray(places[0][places[0] >= 0])
