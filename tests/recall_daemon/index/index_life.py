"""A store in memory and its index in a folder, their seeded history, and brute force."""

from __future__ import annotations

import numpy as np

from recall_daemon.index.filters import Filters
from recall_daemon.index.follower import Index

DIM = 4
WORDS = ("red", "green", "blue", "cyan", "black")


class Life:
    """A store and its index, and a seeded history of both."""

    def __init__(self, store, folder, seed):
        self.store, self.folder = store, folder
        self.random = np.random.default_rng(seed)
        self.index = Index(DIM, folder)
        self.embedded = set()

    def step(self):
        what = self.random.choice(
            ["put", "delete", "embed", "apply", "reopen", "chill"],
            p=[0.45, 0.1, 0.35, 0.06, 0.03, 0.01],
        )
        getattr(self, str(what))()
        self._drop_vectors()

    def _drop_vectors(self):
        """As the store does: a text without live rows loses its vectors, and that is no change."""
        used = {row.text_hash for row in self.store.live_rows.values()}
        for text_hash in set(self.store.vectors) - used:
            del self.store.vectors[text_hash]

    def put(self):
        words = self.random.choice(WORDS, size=self.random.integers(1, 4))
        self.store.put(
            int(self.random.integers(1, 60)),
            " ".join([*words, str(self.random.integers(0, 12))]),
            project=str(self.random.choice(["a", "b", "c"])),
            session_id=str(self.random.choice(["s", "t"])),
            tags=[str(tag) for tag in self.random.choice(["x", "y", "z"], size=2)],
        )
        # A text that comes back is embedded again; until then its old vectors may be found.
        texts = {row.text for row in self.store.live_rows.values()}
        for text in sorted(self.embedded & texts):
            if not any(
                text == row.text and row.text_hash in self.store.vectors
                for row in self.store.live_rows.values()
            ):
                self.embed(text)

    def delete(self):
        self.store.delete(int(self.random.integers(1, 60)))

    def embed(self, text=None):
        live = [row for row in self.store.live_rows.values() if row.text]
        if live:
            text = text or live[self.random.integers(0, len(live))].text
            self.embedded.add(text)
            shape = (self.random.integers(1, 4), DIM)
            self.store.embed(text, *self.random.integers(-9, 9, shape).tolist())

    def chill(self):
        for row_id, row in list(self.store.live_rows.items())[:2]:
            if row.text:
                self.store.chill(row_id)

    def apply(self):
        self.store.page_rows = int(self.random.integers(1, 20))
        self.index.apply(self.store)

    def reopen(self):
        self.index.close()
        self.index = Index(DIM, self.folder)

    def check(self):
        self.index.apply(self.store)
        self.index.fetch_words(self.store)
        for filters in (Filters(), Filters(projects=("a",)), Filters(tags=("x", "z"))):
            query = self.random.integers(-9, 9, DIM).tolist()
            found = self.index.search_vectors(query, filters, 7)
            assert found == brute(self.store, query, filters, 7)
            worded = {hit.row_id for hit in self.index.search_words("red cyan", filters, 99)}
            assert worded == {
                row.row_id
                for row in self.store.live_rows.values()
                if {"red", "cyan"} & set(text_of(self.store, row).split()) and passes(row, filters)
            }
        assert self.index.counts.why_not_sealed is None

    def seal(self):
        """Have every full tail in a segment."""
        with self.index._applying:
            state = self.index._state
            while state.space.is_sealing or state.space.vectors.is_full:
                state.space.keep_up(state.settled, wait=True)
            self.index._publish()

    def close(self):
        self.seal()
        self.index.close()


def text_of(store, row):
    return row.text or store.cold.get(row.row_id, "")


def passes(row, filters):
    return (not filters.projects or row.project in filters.projects) and (
        not filters.tags or bool(set(filters.tags) & set(row.tags))
    )


def brute(store, query, filters, k):
    scored = [
        (-max(float(np.dot(v, query)) for *_, v in store.vectors[row.text_hash]), row.row_id)
        for row in store.live_rows.values()
        if row.text_hash in store.vectors and passes(row, filters)
    ]
    return [(row_id, -score) for score, row_id in sorted(scored)[:k]]
