"""A query is embedded once, and never compared in another space."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from recall_daemon.search import query_vectors
from recall_daemon.search.query_vectors import QueryVectors


class Model:
    def __init__(self):
        self.asked = []

    def embed(self, query, space_id):
        self.asked.append((query, space_id))
        return np.full(4, len(self.asked), dtype=np.float32)


def test_the_same_query_is_embedded_once():
    model = Model()
    vectors = QueryVectors(model.embed)
    first = vectors.of("kafka", "one", 4)
    assert vectors.of("kafka", "one", 4) is first
    assert model.asked == [("kafka", "one")]


def test_another_space_is_another_vector():
    model = Model()
    vectors = QueryVectors(model.embed)
    vectors.of("kafka", "one", 4)
    assert vectors.of("kafka", "two", 4).tolist() == [2.0] * 4
    assert vectors.of("kafka", "one", 4).tolist() == [1.0] * 4


def test_only_the_last_queries_are_kept(monkeypatch):
    monkeypatch.setattr(query_vectors, "KEPT", 2)
    model = Model()
    vectors = QueryVectors(model.embed)
    for query in ("a", "b", "a", "c", "a", "b"):
        vectors.of(query, "one", 4)
    assert [query for query, _ in model.asked] == ["a", "b", "c", "b"]


@pytest.mark.parametrize("made", [None, np.ones(3), np.full(4, np.nan)])
def test_what_is_no_vector_is_none_and_asked_for_again(made):
    asked = []
    vectors = QueryVectors(lambda query, _: asked.append(query) or made)
    assert vectors.of("kafka", "one", 4) is None
    assert vectors.of("kafka", "one", 4) is None
    assert len(asked) == 2


def test_a_long_query_is_cut_for_the_model():
    model = Model()
    QueryVectors(model.embed).of("x" * 100_000, "one", 4)
    assert len(model.asked[0][0]) == 10_000


def test_one_query_embeds_while_another_is_answered():
    started, go_on = threading.Event(), threading.Event()

    def embed(query, _):
        if query == "slow":
            started.set()
            assert go_on.wait(10)
        return np.ones(4)

    vectors = QueryVectors(embed)
    slow = threading.Thread(target=vectors.of, args=("slow", "one", 4))
    slow.start()
    assert started.wait(10)
    assert vectors.of("quick", "one", 4) is not None
    go_on.set()
    slow.join()
