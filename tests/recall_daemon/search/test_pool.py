"""Which rows a search looks at."""

from __future__ import annotations

import numpy as np

from recall_daemon.index.filters import Filters
from recall_daemon.index.follower import Index
from recall_daemon.search.asked import read
from recall_daemon.search.pool import gather

DIM = 64


def test_the_leading_candidates_alone_bring_their_neighbours(store, embedder, day, monkeypatch):
    for number in range(1, 11):
        words = " ".join(["kafka"] * (11 - number))
        store.put(number, f"{words} {number}", session_id=f"s{number}", created_at=day(1))
        store.put(100 + number, "zebra", session_id=f"s{number}", created_at=day(2))
    index = Index(DIM)
    index.apply(store)
    view, filters = index.view_for(Filters())
    best = [hit.row_id for hit in view.search_words("kafka", filters, 3)]
    near = [hit.row_id for hit in view.search_vectors(embedder("kafka"), filters, 3)]
    monkeypatch.setattr("recall_daemon.search.pool.LEADING", 3)
    asked = read("kafka")
    pool = gather(view, filters, asked, embedder("kafka"), mode="hybrid", rows=8, copies=None)
    beside = {row_id for row_id in pool.row_ids.tolist() if row_id > 100}
    led = {100 + row_id for row_id in best + near if row_id <= 100}
    assert led <= beside
    found = set(pool.row_ids[pool.found].tolist())
    assert beside - found == led - found
    for at in np.flatnonzero(pool.next >= 0):
        assert pool.row_ids[pool.next[at]] == pool.row_ids[at] + 100
