"""Who gets which texts, and that only an exact bulk embedder is trusted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from structlog.testing import capture_logs

from recall_daemon.embed.base import Embedder, Vectors
from recall_daemon.embed.bulk import OPEN_AFTER_TEXTS, BulkEmbedder
from recall_daemon.embed.errors import ModelDamaged
from recall_daemon.embed.hashing import HashEmbedder
from recall_daemon.embed.workers import single_core_workers


class Counting:
    """The hashing embedder, shifted by `noise`, that counts its texts."""

    space = HashEmbedder().space

    def __init__(self, noise: float = 0.0) -> None:
        self.calls: list[int] = []
        self._noise = noise

    def encode(self, texts: Sequence[str]) -> Vectors:
        self.calls.append(len(texts))
        vectors = HashEmbedder().encode(texts)
        vectors[:, 0] += self._noise
        return vectors


def _embedder(queries: Embedder, bulk: Embedder) -> BulkEmbedder:
    return BulkEmbedder(queries, lambda: bulk)


def test_queries_and_small_amounts_never_open_the_bulk_embedder() -> None:
    queries, bulk = Counting(), Counting()
    embedder = _embedder(queries, bulk)
    for count in [1] * 2000 + [OPEN_AFTER_TEXTS - 1]:
        embedder.encode(["text"] * count)
    assert bulk.calls == []
    assert sum(queries.calls) == 2000 + OPEN_AFTER_TEXTS - 1


def test_bulk_goes_to_the_bulk_embedder_and_queries_do_not() -> None:
    queries, bulk = Counting(), Counting()
    embedder = _embedder(queries, bulk)
    for count in (OPEN_AFTER_TEXTS, 1, 500):
        embedder.encode(["text"] * count)
    assert bulk.calls[1:] == [OPEN_AFTER_TEXTS, 500]  # after the check
    assert queries.calls[1:] == [1]


def test_a_bulk_embedder_with_other_vectors_is_not_used() -> None:
    queries, bulk = Counting(), Counting(noise=-0.01)
    embedder = _embedder(queries, bulk)
    with capture_logs() as logs:
        vectors = embedder.encode(["text"] * OPEN_AFTER_TEXTS)
        embedder.encode(["text"] * OPEN_AFTER_TEXTS)
    assert [entry["log_level"] for entry in logs] == ["warning"]
    assert len(bulk.calls) == 1
    assert np.array_equal(vectors, HashEmbedder().encode(["text"] * OPEN_AFTER_TEXTS))


@pytest.mark.parametrize(
    "error", [ImportError("no torch"), AttributeError("no operator"), ModelDamaged("bad weights")]
)
def test_a_bulk_embedder_that_cannot_be_opened_is_no_failure(error: Exception) -> None:
    def refuse() -> Embedder:
        raise error

    queries = Counting()
    with capture_logs() as logs:
        BulkEmbedder(queries, refuse).encode(["text"] * OPEN_AFTER_TEXTS)
    assert queries.calls == [OPEN_AFTER_TEXTS]
    assert [entry["reason"] for entry in logs] == [str(error)]


def test_the_workers_leave_torch_s_own_threads_alone() -> None:
    import torch

    before = torch.get_num_threads()
    with single_core_workers(3) as pool:
        inside = list(pool.map(lambda _: torch.get_num_threads(), range(12)))
        product = pool.submit(lambda: float((torch.ones(50, 50) @ torch.ones(50, 50)).sum()))
        assert product.result() == 50**3
        assert pool.submit(torch.get_num_threads).result() == 1
    assert set(inside) == {1}
    assert torch.get_num_threads() == before
