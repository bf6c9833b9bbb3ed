"""What a search asks of some rows only: whether they pass, share a text, hold a phrase."""

from __future__ import annotations

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
    assert view.passing([3, 1, 99, -1, 4, 2], coded) == expected
    assert {hit.row_id for hit in view.search_words("pool", coded, 10)} == set(expected)


def test_time_passes_half_open(index, day):
    view, coded = index.view_for(Filters(since=day(2), until=day(3)))
    assert view.passing([1, 2, 3], coded) == [2]


def test_rows_with_one_text_share_its_number(index):
    numbers = index.view().same_text([1, 2, 3])
    assert numbers[1] == numbers[3] != numbers[2]


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
