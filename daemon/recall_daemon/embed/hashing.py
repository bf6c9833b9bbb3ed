"""The embedder `hash`: words and character trigrams hashed into 384 places, no model needed."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import islice

import numpy as np

from recall_daemon.embed.base import Vectors
from recall_daemon.embed.passages import (
    MAX_TEXT_CHARS,
    MAX_WINDOWS,
    WINDOW_TOKENS,
    Span,
    Words,
    cut,
)
from recall_wire.manifest import EmbeddingSpace

DIM = 384
MAX_CHARS = 20_000
MAX_PIECES = MAX_WINDOWS * WINDOW_TOKENS
_WORD = re.compile(r"\w+")
# What a window counts; a run of letters without end, as Chinese has, counts as several.
_PIECE = re.compile(r"\w{1,16}|[^\w\s\0]")
# A whole word says more than any one of its trigrams.
_WORD_WEIGHT = 2


class HashEmbedder:
    """Deterministic: the same text gives the same bytes in every process and on every platform.

    Texts that share words, or parts of words, are near each other; meaning is not seen.
    Only the first 20,000 characters count. Each revision is another space: it puts the same words
    into other places.
    """

    def __init__(self, revision: str = "1") -> None:
        self.space = EmbeddingSpace(model="hash", revision=revision, dim=DIM, normalized=True)
        self._salt = b"" if revision == "1" else revision.encode()

    def encode(self, texts: Sequence[str]) -> Vectors:
        vectors = np.zeros((len(texts), DIM), dtype=np.float32)
        for row, text in enumerate(texts):
            vectors[row] = _vector(text, self._salt)
        return vectors

    def windows(self, texts: Sequence[str]) -> list[list[Span]]:
        return [cut(text, _pieces(text)) for text in texts]


def _pieces(text: str) -> Words:
    """Pieces of words as if each were one token."""
    found = [match.span() for match in islice(_PIECE.finditer(text, 0, MAX_TEXT_CHARS), MAX_PIECES)]
    places = np.array(found, dtype=np.int64).reshape(-1, 2)
    return Words(places[:, 0], places[:, 1], np.ones(len(places), dtype=np.int64))


def _vector(text: str, salt: bytes) -> Vectors:
    sums = np.zeros(DIM, dtype=np.float64)
    for feature, weight in _features(text).items():
        encoded = feature.encode("utf-8", "replace")
        digest = blake2b(encoded, digest_size=8, salt=salt).digest()
        place = int.from_bytes(digest[:4], "little") % DIM
        sums[place] += weight if digest[4] & 1 else -weight
    length = float(np.sqrt(np.sum(sums * sums)))
    if length == 0.0:  # no words, or features that cancel out: still a vector of length 1
        sums[0] = length = 1.0
    return (sums / length).astype(np.float32)


def _features(text: str) -> Counter[str]:
    folded = unicodedata.normalize("NFKC", text[:MAX_CHARS]).casefold()
    features: Counter[str] = Counter()
    for word in _WORD.findall(folded):
        features[word] += _WORD_WEIGHT
        features.update(_trigrams(word))
    return features


def _trigrams(word: str) -> Iterator[str]:
    bounded = f"<{word}>"
    return (bounded[start : start + 3] for start in range(len(bounded) - 2))
