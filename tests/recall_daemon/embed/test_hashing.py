"""The hashing embedder gives the same vectors everywhere."""

from __future__ import annotations

import hashlib

import numpy as np

from recall_daemon.embed.hashing import HashEmbedder

TEXT = "Rotate the API keys on Sunday; Grüße 数据"
GOLDEN = "e92c3f429131ca61"


def test_the_vector_of_a_text_never_changes() -> None:
    vector = HashEmbedder().encode([TEXT])[0]
    assert hashlib.sha256(vector.astype("<f4").tobytes()).hexdigest()[:16] == GOLDEN


def test_any_text_has_a_vector_of_length_one(texts: list[str]) -> None:
    vectors = HashEmbedder().encode([*texts, "x" * 5_000_000, "\0" * 100, "..."])
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(texts) + 3, 384)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)


def test_no_texts_give_no_rows() -> None:
    assert HashEmbedder().encode([]).shape == (0, 384)


def test_texts_that_share_words_are_nearer() -> None:
    one, near, far = HashEmbedder().encode(
        ["rotate the api keys", "Rotate API keys!", "bread needs flour and water"]
    )
    assert one @ near > 0.6
    assert one @ far < 0.3


def test_its_space_is_its_own() -> None:
    assert HashEmbedder().space.space_id == "hash@1:384"
