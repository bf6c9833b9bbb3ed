"""The index in a folder: grown, sealed, closed and opened again, it answers as brute force does."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # index_life

from index_life import Life

from recall_daemon.index import segment
from recall_daemon.index.filters import Filters
from recall_daemon.index.follower import Index


@pytest.mark.parametrize("seed", range(12 if "RECALLD_TEST_SOAK" in os.environ else 4))
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


@pytest.fixture
def many(new_store, tmp_path, monkeypatch):
    """3,000 vectors in a segment; then it takes 2,200 more, of which 2,000 are coded."""
    for name, number in {
        "vectors.TAIL_MIN": 1_000,
        "vectors.CHUNK_VECTORS": 500,
        "vectors_view.CHUNK_VECTORS": 500,
        "codes.EXACT_MAX": 2,
        "codes.MIN_CANDIDATES": 200,
    }.items():
        monkeypatch.setattr(f"recall_daemon.index.{name}", number)
    many = Many(new_store(dim=32), Index(32, tmp_path / "index"))
    many.put(3_000)
    many.seal()
    yield many
    many.index.close()


class Many:
    def __init__(self, store, index):
        self.store, self.index, self.random = store, index, np.random.default_rng(0)
        self.matrix = np.empty((0, store.dim), dtype=np.float32)

    def put(self, count):
        matrix = self.random.normal(size=(count, self.store.dim)).astype(np.float32)
        for row_id, vector in enumerate(matrix.tolist(), start=len(self.matrix) + 1):
            self.store.put(row_id, f"text {row_id}", project="ab"[row_id % 2])
            self.store.embed(f"text {row_id}", vector)
        self.matrix = np.concatenate([self.matrix, matrix])
        self.index.apply(self.store)

    def seal(self):
        with self.index._applying:
            self.index._state.space.keep_up(self.index._state.settled, wait=True)
            self.index._publish()

    def recall(self, filters):
        """Of the ten nearest of the rows that pass, over twenty queries."""
        rows = [row for row in self.store.live_rows.values() if row.row_id <= len(self.matrix)]
        live = [row for row in rows if passes(row, filters)]
        rows = np.asarray(sorted(row.row_id for row in live))
        found = 0
        for query in self.random.normal(size=(20, self.store.dim)).astype(np.float32):
            wanted = rows[np.argsort(-(self.matrix[rows - 1] @ query))[:10]]
            hits = self.index.search_vectors(query, filters, 10)
            assert {hit.row_id for hit in hits} <= {*rows.tolist(), 10_000}
            found += len(set(wanted.tolist()) & {hit.row_id for hit in hits})
        return found / 200


def passes(row, filters):
    return not filters.projects or row.project in filters.projects


@pytest.mark.parametrize("filters", [Filters(), Filters(projects=("a",))])
def test_the_codes_find_what_is_nearest_with_and_without_a_filter(many, filters):
    assert many.index.counts.tail_vectors < 1_000
    assert many.recall(filters) >= 0.99


@pytest.mark.parametrize("filters", [Filters(), Filters(projects=("a",))])
def test_the_codes_of_what_came_since_find_it_too(many, filters, monkeypatch):
    monkeypatch.setattr("recall_daemon.index.vectors.TAIL_MIN", 1_000_000)
    many.put(1_100)
    many.put(1_100)
    assert len(many.index.view().vectors.tail.coded) >= 2_000
    assert many.recall(filters) >= 0.99
    for row_id in range(1, len(many.matrix), 3):
        many.store.delete(row_id)
    many.index.apply(many.store)
    assert many.recall(filters) >= 0.99


def test_a_book_of_few_vectors_codes_no_tail(new_store, tmp_path, monkeypatch):
    for name, number in {"vectors.CHUNK_VECTORS": 500, "vectors_view.CHUNK_VECTORS": 500}.items():
        monkeypatch.setattr(f"recall_daemon.index.{name}", number)
    many = Many(new_store(dim=32), Index(32, tmp_path / "index"))
    monkeypatch.setattr("recall_daemon.index.vectors.TAIL_MIN", 1)
    many.put(1)
    many.seal()
    monkeypatch.setattr("recall_daemon.index.vectors.TAIL_MIN", 1_000_000)
    many.put(4_000)
    assert many.index.counts.tail_vectors == 4_000
    assert many.index.view().vectors.tail.coded is None
    assert many.recall(Filters()) == 1
    many.index.close()


def test_codes_end_where_a_text_does(many, monkeypatch):
    monkeypatch.setattr("recall_daemon.index.vectors.TAIL_MIN", 1_000_000)
    begun = many.index.counts.tail_vectors
    many.put(990 - begun)
    many.store.put(10_000, "a long text")
    many.store.embed("a long text", *many.random.normal(size=(30, 32)).tolist())
    many.index.apply(many.store)
    assert len(many.index.view().vectors.tail.coded) == 990
    assert many.recall(Filters()) >= 0.99


def test_half_floats_are_widened_exactly():
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)]
    widened = segment._widened(halves)
    assert np.array_equal(widened.view(np.uint32), halves.astype(np.float32).view(np.uint32))
