"""What a search refuses, and odd queries that it answers."""

from __future__ import annotations

import json

import pytest

from recall_daemon.index.follower import Index
from recall_daemon.search.engine import Search
from recall_daemon.search.query import QueryInvalid, SearchRequest


@pytest.fixture
def search(store, embedder):
    def ask(query, **fields):
        index = Index(store.dim)
        index.apply(store)
        return Search(index, store, embedder).search(SearchRequest(query, **fields))

    return ask


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"offset": -1}, "offset is -1"),
        ({"offset": 995, "limit": 10}, "offset and limit reach to 1005"),
        ({"offset": 1.0}, "offset is not a whole number"),
        ({"context": 11}, "context is 11"),
        ({"mode": "fuzzy"}, "mode 'fuzzy' is not known"),
        ({"mode": None}, "mode 'None' is not known"),
        ({"recency_weight": 1.1}, "recency_weight is 1.1"),
        ({"recency_weight": float("nan")}, "recency_weight is nan"),
        ({"importance_weight": "much"}, "importance_weight is not a number"),
        ({"min_score": True}, "min_score is not a number"),
        ({"min_score": -0.1}, "min_score is -0.1"),
        ({"explain": 1}, "explain is neither true nor false"),
        ({"fold": "no"}, "fold is neither true nor false"),
        ({"agent": 5}, "agent is neither"),
    ],
)
def test_what_is_refused(fields, sentence):
    with pytest.raises(QueryInvalid, match=r"^[^\n]+$") as caught:
        SearchRequest("x", **fields)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("mode", ["hybrid", "words", "meaning"])
@pytest.mark.parametrize(
    "query",
    [
        "the of and",
        "what is",
        "👍🚀",
        "数据库连接",
        "a\0b",
        '"the"',
        '"👍"',
        '"!!!"',
        "/" * 500,
        '"' * 999,
        "a/b " * 3_000,
        "x" * 100_000,
        "id-1 " * 20_000,
        "(((",
        "\u202e\u200b",
    ],
)
def test_hostile_queries_are_answered(search, store, query, mode):
    store.put(1, "the state of AND gates, what is 数据库连接 👍")
    said = json.loads(json.dumps(search(query, mode=mode, explain=True, context=1).to_json()))
    assert said["query"] == SearchRequest(query).query
    assert {hit["memory_id"] for hit in said["hits"]} <= {"m1"}


def test_a_query_of_a_megabyte_is_refused_in_one_sentence():
    with pytest.raises(QueryInvalid, match="a passage of it is enough"):
        SearchRequest("x" * 1_000_000)
