"""Pages of one search: each hit once, in one order, whatever comes in between two pages."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recall_daemon.index.follower import Index
from recall_daemon.search import listing
from recall_daemon.search.engine import Search
from recall_daemon.search.query import REACH_MAX, SearchRequest

DIM = 64
WORDS = ["kafka", "lag", "consumer", "broker", "topic", "offset", "the"]


class Paged:
    """A search with a clock, and all its pages one after the other."""

    def __init__(self, store, embedder):
        self.store, self.index, self.now_s = store, Index(DIM), 0.0
        self.index.apply(store)
        self.search = Search(self.index, store, embedder, clock_s=lambda: self.now_s)

    def page(self, offset, limit, **fields):
        return self.search.search(SearchRequest("kafka lag", offset=offset, limit=limit, **fields))

    def all(self, sizes, between=lambda: None, **fields):
        found, offset = [], 0
        while offset is not None:
            limit = min(sizes[len(found) % len(sizes)], REACH_MAX - offset)
            answer = self.page(offset, limit, **fields)
            found += [hit.memory_id for hit in answer.hits]
            offset = answer.next_offset
            between()
        return found


@given(
    texts=st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=5), max_size=60),
    sizes=st.lists(st.integers(1, 17), min_size=1, max_size=4),
    fold=st.booleans(),
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pages_neither_overlap_nor_skip(store, embedder, texts, sizes, fold):
    for row_id in list(store.live_rows):
        store.delete(row_id)
    start = store.change_no + 1
    for row_id, words in enumerate(texts, start=start):
        store.put(row_id, " ".join(words), session_id=f"s{row_id % 3}")
    paged = Paged(store, embedder)
    found = paged.all(sizes, fold=fold)
    assert len(found) == len(set(found))
    assert found == [hit.memory_id for hit in paged.page(0, 100, fold=fold).hits]
    if not fold:
        assert len(found) == len(texts)


def test_deep_pages_go_on_in_one_order(store, embedder):
    for row_id in range(1, 701):
        store.put(row_id, f"kafka lag {row_id}")
    paged = Paged(store, embedder)
    found = paged.all([37, 5, 100])
    assert sorted(found) == sorted(f"m{n}" for n in range(1, 701))
    assert found == paged.all([100])
    scores = [hit.score for at in range(0, 700, 100) for hit in paged.page(at, 100).hits]
    assert scores == sorted(scores, reverse=True)


def test_the_first_thousand_can_be_read(store, embedder):
    for row_id in range(1, 1_201):
        store.put(row_id, f"kafka lag {row_id}")
    found = Paged(store, embedder).all([100])
    assert len(found) == len(set(found)) == REACH_MAX


def test_what_comes_in_between_two_pages_moves_nothing(store, embedder):
    for row_id in range(1, 41):
        store.put(row_id, f"kafka lag {row_id}")
    paged = Paged(store, embedder)
    expected = [hit.memory_id for hit in paged.page(0, 40).hits]
    added = iter(range(1_000, 2_000))

    def ingest():
        store.put(next(added), "kafka lag")
        paged.index.apply(store)

    found = paged.all([7], ingest)
    assert found == expected
    assert paged.page(0, 1).hits[0].memory_id not in expected


def test_what_is_deleted_between_two_pages_is_left_out(store, embedder):
    for row_id in range(1, 41):
        store.put(row_id, f"kafka lag {row_id}")
    paged = Paged(store, embedder)
    expected = [hit.memory_id for hit in paged.page(0, 40).hits]
    first = paged.page(0, 10)
    for memory_id in expected[12:15]:
        store.delete(int(memory_id[1:]))
    paged.index.apply(store)
    second = paged.page(first.next_offset, 10, context=2)
    assert [hit.memory_id for hit in second.hits] == expected[10:12] + expected[15:23]
    third = paged.page(second.next_offset, 100)
    assert [hit.memory_id for hit in third.hits] == expected[23:]


def test_what_does_not_pass_any_more_is_on_no_later_page(store, embedder):
    for row_id in range(1, 41):
        store.put(row_id, f"kafka lag {row_id}", project="a")
    paged = Paged(store, embedder)
    expected = [hit.memory_id for hit in paged.page(0, 40, project=("a",)).hits]
    first = paged.page(0, 10, project=("a",))
    moved = expected[15]
    store.put(int(moved[1:]), f"kafka lag {moved[1:]} is a secret of b", project="b")
    paged.index.apply(store)
    second = paged.page(first.next_offset, 30, project=("a",))
    assert [hit.memory_id for hit in second.hits] == expected[10:15] + expected[16:]


def test_hits_that_say_the_same_since_stay_the_hits_that_were_shown(store, embedder):
    for row_id in range(1, 301):
        store.put(row_id, f"kafka lag {row_id}")
    paged = Paged(store, embedder)
    first = paged.page(0, 40)
    same = [int(hit.memory_id[1:]) for hit in first.hits[:3]]
    for row_id in same:
        store.put(row_id, "kafka lag of all brokers")
    paged.index.apply(store)
    shown, offset = [hit.memory_id for hit in first.hits], first.next_offset
    while offset is not None:
        answer = paged.page(offset, 100)
        shown += [hit.memory_id for hit in answer.hits]
        offset = answer.next_offset
    assert len(shown) == len(set(shown)) == 300


def test_a_listing_deepens_over_rows_that_are_gone(store, embedder):
    for row_id in range(1, 301):
        store.put(row_id, f"kafka lag {row_id}")
    paged = Paged(store, embedder)
    first = paged.page(0, 40)
    for hit in first.hits:
        store.delete(int(hit.memory_id[1:]))
    paged.index.apply(store)
    rest = []
    offset = first.next_offset
    while offset is not None:
        answer = paged.page(offset, 100)
        rest += [hit.memory_id for hit in answer.hits]
        offset = answer.next_offset
    assert len(rest) == len(set(rest)) == 260
    assert not set(rest) & {hit.memory_id for hit in first.hits}


def test_an_old_listing_is_made_anew(store, embedder):
    for row_id in range(1, 21):
        store.put(row_id, f"kafka lag {row_id}")
    paged = Paged(store, embedder)
    old = paged.page(0, 5)
    store.put(99, "kafka lag")
    paged.index.apply(store)
    paged.now_s = listing.KEPT_S + 1
    anew = paged.page(1, 5)
    assert anew.hits[0].memory_id == old.hits[0].memory_id


def test_a_page_without_one_before_is_ranked_by_itself(store, embedder):
    for row_id in range(1, 21):
        store.put(row_id, f"kafka lag {row_id}")
    whole = Paged(store, embedder).page(0, 20).hits
    assert Paged(store, embedder).page(12, 3).hits == whole[12:15]


@pytest.mark.parametrize("offset", [5, 20, 900])
def test_past_the_end_there_is_nothing(store, embedder, offset):
    for row_id in range(1, 6):
        store.put(row_id, f"kafka lag {row_id}")
    answer = Paged(store, embedder).page(offset, 10)
    assert answer.hits == ()
    assert answer.next_offset is None


def test_other_searches_do_not_share_a_listing(store, embedder):
    for row_id in range(1, 21):
        store.put(row_id, f"kafka lag {row_id}", project="a" if row_id % 2 else "b")
    paged = Paged(store, embedder)
    paged.page(0, 5)
    odd = paged.page(5, 5, project=("a",))
    assert all(int(hit.memory_id[1:]) % 2 for hit in odd.hits)


def test_only_the_last_listings_are_kept(store, embedder):
    store.put(1, "kafka lag")
    paged = Paged(store, embedder)
    for number in range(100):
        paged.search.search(SearchRequest(f"kafka {number}"))
    assert len(paged.search._listings._kept) == listing.KEPT
