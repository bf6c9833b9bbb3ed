"""What a search asks of some rows only: whether they pass, share a text, hold a phrase."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recall_daemon.index.filters import NO_FILTERS, Filters
from recall_daemon.index.follower import Index


@pytest.fixture
def index(store, day):
    store.put(1, "the pool was empty", project="a", agent_id="x", tags=["ops"], created_at=day(1))
    store.put(2, "an empty pool", project="b", agent_id="y", tags=["ops"], created_at=day(2))
    store.put(3, "the pool was empty", project="a", user_id="u", namespace="n", created_at=day(3))
    store.put(4, "gone", project="a")
    store.delete(4)
    index = Index(4)
    index.apply(store)
    return index


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (NO_FILTERS, [3, 1, 2]),
        (Filters(projects=("a",)), [3, 1]),
        (Filters(tags=("ops",)), [1, 2]),
        (Filters(tags=("ops",), projects=("b",)), [2]),
        (Filters(agents=("x", "y")), [1, 2]),
        (Filters(users=("u",)), [3]),
        (Filters(namespaces=("n",)), [3]),
    ],
)
def test_some_rows_pass_as_all_do(index, filters, expected):
    view, coded = index.view_for(filters)
    assert view.passing([3, 1, 99, -1, 4, 2], coded).tolist() == expected
    assert {hit.row_id for hit in view.search_words("pool", coded, 10)} == set(expected)


def test_time_passes_half_open(index, day):
    view, coded = index.view_for(Filters(since=day(2), until=day(3)))
    assert view.passing([1, 2, 3], coded).tolist() == [2]


def test_rows_with_one_text_share_its_number(index):
    first, second, third = index.view().text_slots([1, 2, 3]).tolist()
    assert first == third != second


@pytest.mark.parametrize(
    ("phrases", "expected"),
    [
        (["empty"], {1, 2, 3}),
        (["Empty Pool"], {2}),
        (["pool was empty"], {1, 3}),
        (["pool", "an"], {2}),
        (["pool", "absent"], set()),
        (["!!!"], set()),
        ([], set()),
    ],
)
def test_rows_that_hold_phrases(index, phrases, expected):
    view, coded = index.view_for(NO_FILTERS)
    assert {hit.row_id for hit in view.search_holding(phrases, "", coded, 10)} == expected


def test_coverage_tells_which_terms_each_row_holds(index):
    coverage = index.view().coverage("was an absent pool", [2, 1])
    assert coverage.terms[-1] == "pool"  # in every row: it tells least
    assert sorted(coverage.terms) == ["an", "pool", "was"]
    assert (coverage.weights > 0).all()
    held = [
        {t for t, has in zip(coverage.terms, row, strict=True) if has} for row in coverage.holds
    ]
    assert held == [{"an", "pool"}, {"was", "pool"}]


def test_coverage_of_twenty_terms_is_exact(store):
    words = [f"word{n:02d}" for n in range(24)]
    for row_id in range(1, 25):
        store.put(row_id, " ".join(words[:row_id]))
    index = Index(4)
    index.apply(store)
    coverage = index.view().words.coverage(" ".join(words), [24, 7, 99, 5])
    assert coverage.holds.shape == (4, 20)
    assert coverage.holds.sum(axis=1).tolist() == [20, 3, 0, 1]


def test_coverage_of_identifiers_and_pairs_of_characters(store):
    store.put(1, "数据库 max.poll.records")
    store.put(2, "库数据 records poll max")
    index = Index(4)
    index.apply(store)
    coverage = index.view().coverage("数据库 max.poll.records", [1, 2])
    told = dict(zip(coverage.terms, coverage.holds.T.tolist(), strict=True))
    assert told["max.poll.records"] == [True, False]
    assert told["数据"] == [True, True]
    assert told["据库"] == [True, False]


def test_coverage_of_nothing(index):
    assert index.view().coverage("", [1]).holds.shape == (1, 0)
    assert index.view().coverage("pool", []).holds.shape == (0, 1)


def test_words_of_an_older_version_say_nothing_of_the_row(store):
    index = Index(4)
    for row_id in (1, 2):
        store.put(row_id, "red apple pie")
    index.apply(store)
    before = index.view()
    store.put(1, "the red car is sold")
    index.apply(store)
    now = index.view()
    said = now.coverage("red", [1, 2]).said.tolist()
    assert said[0] not in (0, said[1])
    assert replace(now, words=before.words).coverage("red", [1, 2]).said.tolist() == [0, said[1]]
