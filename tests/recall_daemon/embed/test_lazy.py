"""The hub's embedder: opened once, when asked for; what it is without one."""

from __future__ import annotations

import pytest

from recall_daemon.embed.base import Embedder
from recall_daemon.embed.errors import ModelMissing
from recall_daemon.embed.hashing import HashEmbedder
from recall_daemon.embed.lazy import LazyEmbedder
from recall_daemon.metrics import REGISTRY


def left_alone() -> float | None:
    return REGISTRY.get_sample_value("recalld_breaker_open", {"breaker": "model"})


def test_a_model_that_cannot_be_loaded_is_asked_for_again() -> None:
    found: list[Embedder] = []

    def open_() -> Embedder:
        if not found:
            raise ModelMissing("there is none")
        return found[0]

    lazy = LazyEmbedder(open_)
    assert (lazy.get(), lazy.space_id(), lazy.embed_query("x")) == (None, None, None)
    assert (lazy.why_not, left_alone()) == ("there is none", 1)
    found.append(HashEmbedder())
    assert lazy.get() is lazy.get() is found[0]
    assert left_alone() == 0
    vector = lazy.embed_query("x")
    assert vector is not None
    assert vector == pytest.approx(found[0].encode(["x"])[0])
