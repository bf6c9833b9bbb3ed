"""What may be asked, and what is refused in one sentence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from recall_daemon.search.query import QUERY_MAX_CHARS, QueryInvalid, SearchRequest


def test_a_full_request_from_json():
    request = SearchRequest.from_json(
        {
            "query": "kafka",
            "system": "alpha",
            "project": ["p", "q"],
            "since": "2026-01-01",
            "until": "2026-02-01T12:00:00+02:00",
            "limit": 3,
            "tags": None,
        }
    )
    assert request.system == ("alpha",)
    assert request.project == ("p", "q")
    assert request.tags == ()
    assert request.since == datetime(2026, 1, 1, tzinfo=UTC)
    assert request.until == datetime(2026, 2, 1, 10, tzinfo=UTC)
    assert request.limit == 3
    assert request.filters.projects == ("p", "q")


def test_aware_times_are_kept_as_moments():
    since = datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=5)))
    assert SearchRequest("x", since=since).since == since


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ([], "not a JSON object"),
        ("text", "not a JSON object"),
        ({}, "there is no query"),
        ({"query": None}, "query"),
        ({"query": 5}, "query is not text"),
        ({"query": ""}, "query is empty"),
        ({"query": " \n\t"}, "query is empty"),
        ({"query": "\0\0"}, "query is empty"),
        ({"query": "\ud800"}, "query is empty"),
        ({"query": "x" * (QUERY_MAX_CHARS + 1)}, "has 100001 characters"),
        ({"query": "x", "limit": 0}, "limit is 0"),
        ({"query": "x", "limit": 101}, "limit is 101"),
        ({"query": "x", "limit": -5}, "limit is -5"),
        ({"query": "x", "limit": True}, "not a whole number"),
        ({"query": "x", "limit": "10"}, "not a whole number"),
        ({"query": "x", "limit": 1.5}, "not a whole number"),
        ({"query": "x", "since": "yesterday"}, "'yesterday' is not a time"),
        ({"query": "x", "until": 5}, "'5' is not a time"),
        ({"query": "x", "since": "0001-01-01T00:00:00+14:00"}, "is not a time"),
        ({"query": "x", "system": 5}, "system is neither"),
        ({"query": "x", "tags": ["a", 5]}, "tags is neither"),
        ({"query": "x", "tags": {"a": 1}}, "tags is neither"),
        ({"query": "x", "project": ["p"] * 1_001}, "project has 1001 values"),
        ({"query": "x", "sytem": "alpha"}, "'sytem' is not known"),
    ],
)
def test_what_is_refused(body, sentence):
    with pytest.raises(QueryInvalid, match=r"^[^\n]+$") as caught:
        SearchRequest.from_json(body)
    assert sentence in str(caught.value)
    assert len(str(caught.value)) < 300


def test_nul_and_surrogates_are_taken_out():
    assert SearchRequest("a\0b\ud800c").query == "a bc"
