"""What text is found by which words."""

from __future__ import annotations

import pytest

from recall_daemon.index.filters import Filters
from recall_daemon.index.follower import Index

ROWS = {
    1: "Set max.poll.records=5000 for the Kafka consumer, it was rebalancing",
    2: "数据库连接池在高负载下耗尽了",
    3: "The café résumé parser handles naïve Unicode",
    4: "class KafkaConsumer calls pollTimeoutMillis in a loop",
    5: "We ship on Friday 🚀 if tests pass",
    6: "to be or not to be",
    7: "日本語のテキスト検索をテストする",
    8: "cafe\u0301 with a combining accent",
    9: "The records are maximal; a poll of users",
    10: "База данных не отвечает",
    11: "\ufb01le and \uff26\uff35\uff2c\uff2c width",
}


@pytest.fixture
def index(store):
    for row_id, text in ROWS.items():
        store.put(row_id, text)
    index = Index(4)
    index.apply(store)
    return index


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("max.poll.records", 1),
        ("MAX_POLL_RECORDS", 1),
        ("rebalance consumers", 1),
        ("连接池", 2),
        ("数据库", 2),
        ("naive resume cafe", 3),
        ("poll timeout", 4),
        ("kafkaconsumer", 4),
        ("kafka consumer class", 4),
        ("🚀", 5),
        ("to be", 6),
        ("検索", 7),
        ("combining café", 8),
        ("базы данных", 10),
        ("file full", 11),
    ],
)
def test_the_best_hit_by_words(index, query, first):
    assert index.search_words(query)[0].row_id == first


@pytest.mark.parametrize("query", ['( " : *', "", "  ", "~^[]{}", "\\", "'", "zzzzunknown"])
def test_what_holds_no_known_word_finds_nothing_and_does_not_fail(index, query):
    assert index.search_words(query) == []


@pytest.mark.parametrize(
    "query",
    [
        "poll AND",
        "poll OR (",
        'poll "',
        "text:poll",
        "poll*",
        "-poll",
        "+poll",
        "poll~2",
        "[poll TO",
    ],
)
def test_query_syntax_is_plain_text(index, query):
    assert {1, 9} <= {hit.row_id for hit in index.search_words(query)}


def test_a_row_without_text_is_found_by_its_names(store):
    store.put(1, None, memory_id="deploy-checklist", project="payments", tags=["oncall"])
    store.put(2, "payments were late", project="payments")
    index = Index(4)
    index.apply(store)
    assert [hit.row_id for hit in index.search_words("oncall checklist")] == [1]
    assert {hit.row_id for hit in index.search_words("payments")} == {1, 2}


def test_long_tokens_and_many_words_neither_fail_nor_hide_the_rest(store):
    store.put(1, "A" * 70_000 + " needle " + "word " * 20_000)
    store.put(2, "\0" * 1_000)
    store.put(3, "")
    index = Index(4)
    index.apply(store)
    assert [hit.row_id for hit in index.search_words("needle")] == [1]
    long_query = " ".join(f"w{number}" for number in range(20_000)) + " needle"
    assert [hit.row_id for hit in index.search_words(long_query)] == [1]


def test_a_phrase_is_found_wherever_it_lies_and_only_as_a_phrase(index, store):
    view, filters = index.view_for(Filters())
    assert [h.row_id for h in view.search_phrase("not to be", filters, 5)] == [6]
    assert view.search_phrase("be to not", filters, 5) == []
    assert [h.row_id for h in view.search_phrase("接池在", filters, 5)] == [2]


@pytest.mark.parametrize("query", ["", "to", "to be", "( )", "🚀"])
def test_below_three_terms_there_is_no_phrase(index, query):
    view, filters = index.view_for(Filters())
    assert view.search_phrase(query, filters, 5) == []


def test_scores_of_chosen_rows_equal_those_of_the_search(index):
    view, _ = index.view_for(Filters())
    searched = dict(index.search_words("kafka consumer poll records", k=50))
    assert view.words.scores("kafka consumer poll records", list(ROWS)) == searched


def test_among_many_rows_common_words_find_no_row_where_others_do(store, monkeypatch):
    monkeypatch.setattr("recall_daemon.index.query_words.COMMON_MIN_ROWS", 4)
    for row_id, text in enumerate(["the shop", "the shop", "the lake", "a the boat"], start=1):
        store.put(row_id, text)
    index = Index(4)
    index.apply(store)
    assert {hit.row_id for hit in index.search_words("the lake")} == {3}
    assert {hit.row_id for hit in index.search_words("the")} == {1, 2, 3, 4}
    assert {hit.row_id for hit in index.search_words("the zeppelin")} == {1, 2, 3, 4}
