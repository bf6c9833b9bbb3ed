"""What very many rows say takes no room from what one row says."""

from __future__ import annotations

import pytest

from recall_daemon.index.follower import Index
from recall_daemon.search.engine import Search
from recall_daemon.search.query import SearchRequest

COPIES = 3_000


@pytest.fixture
def crowded(store, tmp_path):
    """Three texts that thousands of rows have, and twenty that one row each has."""
    row_id = 0
    for text in ("deploy done", "deploy ok", "deploy finished"):
        for _ in range(COPIES):
            row_id += 1
            store.put(row_id, text, system_id=f"system-{row_id % 3}")
    for number in range(20):
        row_id += 1
        store.put(row_id, f"deploy number {number} failed for want of disk")
    index = Index(store.dim, tmp_path / "index")
    index.apply(store)
    yield index
    index.close()


@pytest.mark.parametrize("mode", ["hybrid", "words", "meaning"])
def test_a_text_of_thousands_is_one_hit_and_the_others_are_found(store, crowded, embedder, mode):
    search = Search(crowded, store, embedder)
    hits = search.search(SearchRequest("deploy", limit=50, mode=mode)).hits
    assert len(hits) == 23
    many = [hit for hit in hits if hit.text == "deploy done"]
    assert [hit.witness_count for hit in many] == [COPIES]
    assert len(many[0].witnesses) == 100
    assert {witness.system_id for witness in many[0].witnesses} == {
        "system-0",
        "system-1",
        "system-2",
    }


def test_unfolded_every_row_is_a_hit(store, crowded):
    search = Search(crowded, store, None)
    hits = search.search(SearchRequest("deploy", limit=50, fold=False)).hits
    assert len({hit.memory_id for hit in hits}) == 50


@pytest.mark.parametrize("query", ["zanzibar", "melanie zanzibar"])
def test_a_rare_word_in_a_long_text_comes_before_common_words_in_short_ones(store, embedder, query):
    common = ["melanie", "caroline", "password", "deploy", "garden", "harbour", "weather", "music"]
    for row_id in range(1, 600):
        store.put(row_id, f"{common[row_id % 8]} {common[row_id % 7]} talk of day {row_id}")
    long_text = " ".join(f"{common[at % 8]} said much" for at in range(4_000)) + " zanzibar quorum"
    store.put(600, long_text)
    store.embed(long_text, *[embedder(long_text).tolist()] * 60)
    index = Index(store.dim)
    index.apply(store)
    search = Search(index, store, embedder)
    best = [hit.memory_id for hit in search.search(SearchRequest(query)).hits[:5]]
    assert "m600" in best  # the words' toy meanings have the others' say in it
    found = search.search(SearchRequest("caroline talk", limit=100)).hits
    assert found[0].memory_id != "m600"
