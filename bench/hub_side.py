"""recalld as a side: store, index and search in one process, as the daemon has them.

What is ingested goes the daemon's way, merge, vectors, index, but with its vectors ready: making
them is another benchmark's subject (bench/embedding.py).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from corpus import NEWEST, Corpus
from load import Loader
from narrowing import filters, named
from recall_daemon.core import Core, open_core
from recall_daemon.search.engine import Search as HubSearch
from recall_daemon.search.query import SearchRequest
from recall_daemon.search.rank import POOL_ROWS
from recall_daemon.settings import HubSettings
from sides import TOP, Search
from sources import Vectors

# As many rows near in meaning as the fused ranking begins with.
CANDIDATES = POOL_ROWS[0]
# It is quiet when a while took so little of the processor.
IDLE_SHARE = 0.05
SETTLES_MAX = 120


class HubSide:
    """`recalld_hybrid` is a whole search after the embedding of its query, texts included;
    `recalld_meaning` the index's ten nearest; `recalld_candidates` the ten best of the rows that
    the hybrid search starts from."""

    def __init__(self, corpus: Corpus, folder: Path) -> None:
        self._corpus = corpus
        self._stack = ExitStack()
        settings = HubSettings(data_dir=folder, embedder=corpus.options.embedder)
        self._core: Core = self._stack.enter_context(open_core(settings))
        self._core.embedder.get()
        self._vector_of = dict(
            zip(corpus.sources.questions, corpus.sources.question_vectors, strict=True)
        )
        self._search = HubSearch(self._core.index, self._core.feed, self._embed)

    def build(self, rows: int) -> None:
        self.add(0, rows)
        self.settle(1.0)

    def add(self, start: int, stop: int) -> None:
        space_id = self._core.embedder.space_id()
        assert space_id is not None
        Loader(self._core.store, space_id, self._corpus).fill(start, stop, NEWEST)
        self._core.follow()

    def settle(self, quiet_s: float) -> None:
        """Wait for what the daemon does beside searches: a segment, checkpoints, merged words."""
        while self._core.index.counts.sealing:
            time.sleep(0.05)
        for _ in range(SETTLES_MAX):
            before = time.process_time()
            time.sleep(quiet_s)
            if time.process_time() - before < IDLE_SHARE * quiet_s:
                return

    def searches(self) -> Mapping[str, Search]:
        return {
            "recalld_hybrid": self._hybrid,
            "recalld_meaning": lambda question, name: self._near(question, name, TOP),
            "recalld_candidates": lambda question, name: self._near(question, name, CANDIDATES),
        }

    def close(self) -> None:
        self._stack.close()

    def _embed(self, query: str, _: str) -> Vectors:
        return np.asarray(self._vector_of[query])

    def _hybrid(self, question: int, narrowing: str) -> list[int]:
        body: dict[str, object] = {
            "query": self._corpus.sources.questions[question],
            "limit": TOP,
        }
        chosen = named(narrowing, question)
        if chosen is not None:
            body[{"topic": "tags"}.get(chosen[0], chosen[0])] = chosen[1]
        answer = self._search.search(SearchRequest.from_json(body))
        if answer.degraded:
            raise RuntimeError(f"answered by words alone: {body['query']!r}")
        return [int(hit.memory_id) for hit in answer.hits]

    def _near(self, question: int, narrowing: str, k: int) -> list[int]:
        vector = np.asarray(self._corpus.sources.question_vectors[question])
        found = self._core.index.search_vectors(vector, filters(narrowing, question), k)
        return [hit.row_id - 1 for hit in found[:TOP]]
