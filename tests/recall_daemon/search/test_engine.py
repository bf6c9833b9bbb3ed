"""The search as a whole, over a store and an index in memory."""

from __future__ import annotations

import json

import numpy as np
import pytest

from recall_daemon.index.follower import Index
from recall_daemon.search.engine import Search
from recall_daemon.search.query import SearchRequest

DIM = 64
BOILERPLATE = "The nightly build of the payments service failed with exit code"


@pytest.fixture
def search(store, embedder):
    """Index what is in the store and answer one query."""
    index = Index(DIM)

    def ask(query, *, embed_query=embedder, **fields):
        index.apply(store)
        return Search(index, store, embed_query).search(SearchRequest(query, **fields))

    return ask


def ids(answer):
    return [hit.memory_id for hit in answer.hits]


def test_the_answer_says_what_where_from_and_why(search, store, day):
    store.put(
        1,
        "Kafka consumers were rebalancing",
        kind="insight",
        project="payments",
        session_id="s1",
        agent_id="a1",
        tags=["ops"],
        created_at=day(2),
        seq=7,
    )
    answer = search("kafka consumers").to_json()
    assert set(answer) == {
        "query",
        "degraded",
        "incomplete",
        "hits",
        "next_offset",
        "quotes_not_held",
    }
    assert answer["next_offset"] is None
    (hit,) = answer["hits"]
    scores = hit.pop("scores")
    assert hit.pop("score") == pytest.approx(0.5 * scores["meaning"] + 0.5)
    assert hit == {
        "system_id": "alpha",
        "memory_id": "m1",
        "kind": "insight",
        "text": "Kafka consumers were rebalancing",
        "project": "payments",
        "session_id": "s1",
        "created_at": "2026-01-02T00:00:00+00:00",
        "tier": "hot",
        "agent_id": "a1",
        "seq": 7,
        "tags": ["ops"],
        "passage": {"start": 0, "end": 32, "text": "Kafka consumers were rebalancing"},
        "summary": None,
        "text_missing": None,
        "witnesses": [
            {
                "system_id": "alpha",
                "memory_id": "m1",
                "created_at": "2026-01-02T00:00:00+00:00",
                "agent_id": "a1",
            }
        ],
        "witness_count": 1,
    }
    assert scores["words"] > 0
    assert scores["verbatim"] is False
    json.dumps(answer)


@pytest.mark.parametrize("row_count", [250])
def test_a_sentence_finds_its_row_among_near_duplicates(search, store, row_count):
    for row_id in range(1, row_count + 1):
        store.put(
            row_id, f"{BOILERPLATE} {row_id}. The team was told about it on channel {row_id}."
        )
    for row_id in (1, 17, row_count):
        answer = search(f"the  TEAM was told about it\non channel {row_id}.")
        assert ids(answer)[0] == f"m{row_id}"
        assert answer.hits[0].scores.verbatim


def test_a_sentence_from_the_end_of_a_long_text_finds_it(search, store):
    tail = "Afterwards the zebra migration was rolled back by hand."
    filler = " ".join(f"line {n} of the log says that all is well." for n in range(1_500))
    store.put(1, f"{filler} {tail}")
    for row_id in range(2, 300):
        store.put(row_id, f"Afterwards the zebra migration {row_id} was rolled back by a hand.")
    assert len(store.live_rows[1].text) > 60_000
    assert ids(search(tail))[0] == "m1"
    assert ids(search(tail, embed_query=None))[0] == "m1"


def test_words_that_only_share_their_stems_are_not_verbatim(search, store):
    """More rows with the same stems side by side, all shorter, than fit on one page of hits."""
    wanted = "the consumers were rebalancing all night"
    store.put(1, f"{'Some long preamble about other things. ' * 50}{wanted}")
    for row_id in range(2, 120):
        store.put(row_id, f"the consumer were rebalanced all nights {row_id}")
    answer = search(wanted)
    assert ids(answer)[0] == "m1"
    assert [hit.scores.verbatim for hit in answer.hits] == [True] + [False] * 9


def test_several_rows_with_the_sentence_come_before_all_others_in_one_order(search, store, day):
    for row_id in range(1, 6):
        store.put(row_id, "we chose the blue deployment", created_at=day(row_id))
    store.put(6, "we chose the blue deployment and much more was said on that day in the office")
    store.put(7, "blue deployment: we the chose")
    answer = search("we chose the blue deployment", fold=False)
    assert ids(answer) == ["m5", "m4", "m3", "m2", "m1", "m6", "m7"]


def test_scores_fall_along_the_hits(search, store):
    for row_id in range(1, 30):
        store.put(row_id, f"kafka consumer lag {'and more ' * (row_id % 7)} {row_id}")
    scores = [hit.score for hit in search("kafka consumer lag", limit=29).hits]
    assert len(scores) == 29
    assert scores == sorted(scores, reverse=True)


def test_chinese_is_found_by_a_part_and_verbatim(search, store):
    store.put(1, "数据库连接池在高负载下耗尽了")
    store.put(2, "连接到数据库需要密码")
    assert ids(search("连接池"))[0] == "m1"
    answer = search("需要密码", embed_query=None)
    assert ids(answer)[0] == "m2"
    assert answer.hits[0].scores.verbatim


@pytest.mark.parametrize(
    "query",
    ["AND", '( " : *', "the of and", "🚀", "\0x", "x" * 90_000, "word " * 18_000, "a\u0300" * 500],
)
def test_odd_queries_are_answered(search, store, query):
    store.put(1, "the state of AND gates")
    answer = search(query)
    assert ids(answer) == ["m1"]
    assert not answer.degraded


def test_a_long_pasted_text_finds_itself(search, store):
    pasted = " ".join(f"step {n} ran in {n * 7 % 101} ms." for n in range(3_000))
    store.put(1, pasted)
    store.put(2, " ".join(f"step {n} ran in {n * 5 % 101} ms." for n in range(3_000)))
    assert len(pasted) > 50_000
    assert ids(search(pasted))[0] == "m1"


def test_a_row_deleted_between_index_and_text_makes_room_for_the_next(search, store, embedder):
    for row_id in range(1, 16):
        store.put(row_id, f"kafka consumer lag number {row_id}")
    index = Index(DIM)
    index.apply(store)
    before = ids(Search(index, store, embedder).search(SearchRequest("kafka consumer lag")))
    gone = before[:4]
    for memory_id in gone:
        store.delete(int(memory_id[1:]))
    after = ids(Search(index, store, embedder).search(SearchRequest("kafka consumer lag")))
    assert len(after) == 10
    assert not set(after) & set(gone)
    assert after[:6] == before[4:]


def test_a_row_changed_between_index_and_text_is_shown_as_it_is_now(store, embedder, day):
    store.put(1, "kafka lag", project="old", tags=["x", "y"], created_at=day(1))
    store.put(2, "kafka lag elsewhere", project="kept", tags=["x", "y"], created_at=day(2))
    index = Index(DIM)
    index.apply(store)
    store.put(1, "kafka lag is gone", project="new", tags=["z"], created_at=day(3))
    answer = Search(index, store, embedder).search(SearchRequest("kafka lag"))
    assert {(hit.text, hit.project, tuple(hit.tags), hit.created_at) for hit in answer.hits} == {
        ("kafka lag is gone", "new", ("z",), day(3)),
        ("kafka lag elsewhere", "kept", ("x", "y"), day(2)),
    }


def test_a_row_that_goes_on_changing_is_shown_in_one_version(store, embedder, monkeypatch):
    store.put(1, "kafka lag", project="p0")
    index = Index(DIM)
    index.apply(store)
    store.put(1, "kafka lag 1", project="p1")
    looks = store.rows_now

    def changes_meanwhile(row_ids):
        if store.live_rows[1].project < "p3":
            number = int(store.live_rows[1].project[1:]) + 1
            store.put(1, f"kafka lag {number}", project=f"p{number}")
        return looks(row_ids)

    monkeypatch.setattr(store, "rows_now", changes_meanwhile)
    (hit,) = Search(index, store, embedder).search(SearchRequest("kafka lag")).hits
    assert (hit.text, hit.project) == ("kafka lag 3", "p3")


@pytest.mark.parametrize(
    "embed_query",
    [
        None,
        lambda text, _: (_ for _ in ()).throw(RuntimeError("no model")),
        lambda text, _: np.ones(3),
        lambda text, _: np.full(DIM, np.nan),
    ],
)
def test_without_a_usable_meaning_words_answer_and_say_so(search, store, embed_query):
    store.put(1, "kafka consumers were rebalancing")
    store.put(2, "nothing of the kind")
    answer = search("kafka", embed_query=embed_query)
    assert answer.degraded
    assert ids(answer) == ["m1"]
    assert answer.hits[0].scores.meaning is None


def test_filters_apply_before_the_cut(search, store):
    for row_id in range(1, 400):
        store.put(row_id, "kafka kafka kafka", project="big", system_id="alpha")
    store.put(999, "kafka and many other words beside it", project="small", system_id="beta")
    assert ids(search("kafka", project=("small",), limit=1)) == ["m999"]
    assert ids(search("kafka", system=("beta", "gamma"), limit=1)) == ["m999"]
    assert search("kafka", project=("never",)).hits == ()


def test_a_row_whose_vector_is_not_made_yet_is_found_by_its_words(search, store):
    store.put(1, "kafka consumer lag")
    del store.vectors[store.live_rows[1].text_hash]
    store.put(2, "unrelated words altogether")
    answer = search("kafka lag")
    assert ids(answer)[0] == "m1"
    assert answer.hits[0].scores.meaning is None
    assert not answer.degraded


def test_an_empty_index_answers_nothing(search):
    assert search("anything at all").hits == ()
