"""The index in a folder: grown, sealed, closed and opened again, it answers as brute force does."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # index_life

from index_life import Life

from recall_daemon.index.filters import Filters
from recall_daemon.index.follower import Index


@pytest.mark.parametrize("seed", range(12))
def test_any_history_with_segments_and_restarts_equals_brute_force(
    store, tmp_path, small_segments, seed
):
    life = Life(store, tmp_path / "index", seed)
    for _ in range(12):
        for _ in range(40):
            life.step()
        life.check()
    assert life.index.counts.tail_vectors < life.index.counts.vectors
    life.close()
    assert len(list(life.folder.rglob("segment.json"))) == 1


def test_the_codes_find_what_is_nearest_with_and_without_a_filter(new_store, tmp_path, monkeypatch):
    monkeypatch.setattr("recall_daemon.index.vectors.TAIL_MIN", 1_000)
    monkeypatch.setattr("recall_daemon.index.segment.EXACT_MAX", 2)
    monkeypatch.setattr("recall_daemon.index.segment.MIN_CANDIDATES", 200)
    dim, count = 32, 3_000
    store, random = new_store(dim=dim), np.random.default_rng(0)
    matrix = random.normal(size=(count, dim)).astype(np.float32)
    for row_id, vector in enumerate(matrix.tolist(), start=1):
        store.put(row_id, f"text {row_id}", project="ab"[row_id % 2])
        store.embed(f"text {row_id}", vector)
    index = Index(dim, tmp_path / "index")
    index.apply(store)
    with index._applying:
        index._state.space.keep_up(index._state.settled, wait=True)
        index._publish()
    assert index.counts.tail_vectors < 1_000

    for filters, kept in ((Filters(), slice(None)), (Filters(projects=("a",)), slice(1, None, 2))):
        found = 0
        for query in random.normal(size=(20, dim)).astype(np.float32):
            exact = np.argsort(-(matrix[kept] @ query))[:10]
            wanted = np.arange(1, count + 1)[kept][exact]
            hits = index.search_vectors(query, filters, 10)
            found += len(set(wanted.tolist()) & {hit.row_id for hit in hits})
        assert found >= 198
    index.close()
