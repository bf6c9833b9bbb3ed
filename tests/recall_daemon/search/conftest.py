"""The index tests' store in memory, and an embedder in which words are directions."""

from __future__ import annotations

import importlib.util
import sys
import zlib
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

DIM = 64

_path = Path(__file__).parent.parent / "index" / "conftest.py"
_spec = importlib.util.spec_from_file_location("memory_store_for_search", _path)
_module = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = _module
_spec.loader.exec_module(_module)


def embed(text, _=None):
    """A bag of the first 256 words, each in a direction of its own; length 1."""
    vector = np.zeros(DIM, dtype=np.float32)
    for word in text.lower().split()[:256]:
        seed = np.random.default_rng(zlib.crc32(word.strip(".,:").encode()))
        vector += seed.standard_normal(DIM)
    return vector / (np.linalg.norm(vector) or 1)


class EmbeddedStore(_module.MemoryStore):
    def put(self, row_id, text=None, **fields):
        super().put(row_id, text, **fields)
        if text and _module.hash_of(text) not in self.vectors:
            self.embed(text, embed(text).tolist())


@pytest.fixture
def store():
    return EmbeddedStore(dim=DIM)


@pytest.fixture
def day():
    return lambda number: datetime(2026, 1, number, tzinfo=UTC)


@pytest.fixture(scope="session")
def embedder():
    return embed
