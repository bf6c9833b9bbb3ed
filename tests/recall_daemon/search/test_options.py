"""What a search can be told: modes, quotes, weights, context, explanations; and cold rows."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from recall_daemon.index.follower import Index
from recall_daemon.search.engine import Search
from recall_daemon.search.query import SearchRequest

DIM = 64
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def search(store, embedder):
    def ask(query, *, embed_query=embedder, **fields):
        index = Index(DIM)
        index.apply(store)
        return Search(index, store, embed_query, now=lambda: NOW).search(
            SearchRequest(query, **fields)
        )

    return ask


def ids(answer):
    return [hit.memory_id for hit in answer.hits]


# -- neighbours ---------------------------------------------------------------------------------


def conversation(store, texts, session="s1", start=1, **fields):
    for row_id, text in enumerate(texts, start=start):
        store.put(row_id, text, session_id=session, created_at=NOW - timedelta(days=1), **fields)


def test_the_turn_after_the_question_is_found_though_it_repeats_no_word(search, store):
    conversation(store, ["which broker lost its quorum?", "the third one, at night", "ah, thanks"])
    conversation(store, ["nobody knows", "the weather is fine"], session="s2", start=10)
    assert ids(search("broker quorum"))[:2] == ["m1", "m2"]


def test_another_session_of_that_name_lends_nothing(search, store):
    conversation(store, ["which broker lost its quorum?"], system_id="alpha")
    conversation(store, ["the third one"], system_id="beta", start=2)
    explained = search("broker quorum", explain=True).hits
    other = next(hit for hit in explained if hit.memory_id == "m2")
    assert other.explanation["words"]["matched_by_neighbours"] == {}


def test_a_neighbour_that_the_filter_leaves_out_neither_comes_nor_lends(search, store):
    store.put(1, "which broker lost its quorum?", session_id="s", project="secret")
    store.put(2, "the third one", session_id="s", project="mine")
    store.put(3, "broker news", session_id="s", project="mine")
    answer = search("broker quorum", project=("mine",), explain=True)
    assert set(ids(answer)) == {"m2", "m3"}
    third = next(hit for hit in answer.hits if hit.memory_id == "m2")
    assert set(third.explanation["words"]["matched_by_neighbours"]) == {"broker"}


# -- modes --------------------------------------------------------------------------------------


def test_words_need_no_model_and_are_not_degraded(search, store):
    store.put(1, "kafka lag")
    store.put(2, "lag of another kind altogether")

    def never(query, _):
        raise AssertionError(query)

    answer = search("kafka lag", mode="words", embed_query=never)
    assert ids(answer) == ["m1", "m2"]
    assert not answer.degraded
    assert answer.hits[0].scores.meaning is None


def test_meaning_ranks_by_cosine_alone(search, store):
    store.put(1, "kafka lag lag lag")
    store.put(2, "kafka lag")
    store.put(3, "nothing of it")
    answer = search("kafka lag", mode="meaning")
    cosines = [hit.scores.meaning for hit in answer.hits]
    assert cosines == sorted(cosines, reverse=True)
    assert len(cosines) == 3
    assert ids(answer)[0] == "m2"


def test_meaning_without_a_model_goes_by_words_and_says_so(search, store):
    store.put(1, "kafka lag")
    answer = search("kafka", mode="meaning", embed_query=None)
    assert answer.degraded
    assert ids(answer) == ["m1"]


# -- what must be held ---------------------------------------------------------------------------


def test_quoted_terms_must_stand_side_by_side(search, store):
    store.put(1, "we chose the blue deployment at last")
    store.put(2, "the deployment was blue")
    store.put(3, "a blue sky over the deployment")
    assert ids(search('"blue deployment"')) == ["m1"]
    assert ids(search('what about "Blue  Deployment"?')) == ["m1"]
    assert set(ids(search("blue deployment"))) == {"m1", "m2", "m3"}


@pytest.mark.parametrize("mode", ["hybrid", "words", "meaning"])
def test_a_neighbour_of_what_is_quoted_is_no_hit(search, store, mode):
    conversation(store, ["we chose the blue deployment", "good", "which colour?"])
    assert ids(search('"blue deployment" colour', mode=mode)) == ["m1"]


def test_every_quotation_must_be_held(search, store):
    store.put(1, "blue deployment on friday night")
    store.put(2, "blue deployment on monday")
    assert ids(search('"blue deployment" "friday night"')) == ["m1"]
    assert set(ids(search('"deployment"'))) == {"m1", "m2"}
    assert ids(search('"green deployment"')) == []


@pytest.mark.parametrize("mode", ["hybrid", "words", "meaning"])
def test_a_question_that_quotes_what_nobody_holds_is_answered_and_says_so(search, store, mode):
    store.put(1, "she likes violin concertos")
    store.put(2, "the four of us, in all seasons")
    answer = search('would she like "The Four Seasons"?', mode=mode)
    assert set(ids(answer)) == {"m1", "m2"}
    assert answer.quotes_not_held == ("The Four Seasons",)
    assert answer.to_json()["quotes_not_held"] == ["The Four Seasons"]
    held = search('would she like "violin concertos"?', mode=mode)
    assert ids(held) == ["m1"]
    assert held.quotes_not_held == ()
    nothing = search('"The Four Seasons" "violin concertos"', mode=mode)
    assert ids(nothing) == []


def test_what_is_quoted_is_looked_for_behind_the_filter(search, store):
    store.put(1, "we chose the blue deployment", project="a")
    store.put(2, "the deployment was green", project="b")
    answer = search('who chose the "blue deployment"', project=("b",))
    assert ids(answer) == ["m2"]
    assert answer.quotes_not_held == ("blue deployment",)


def test_a_quotation_that_does_not_end_is_plain_text(search, store):
    store.put(1, "the deployment was blue")
    assert ids(search('"blue deployment')) == ["m1"]


def test_an_id_in_the_query_comes_first(search, store):
    for row_id in range(1, 30):
        store.put(row_id, f"note about the topic note-7 {row_id}", memory_id=f"other-{row_id}")
    store.put(99, "says nothing of the kind", memory_id="note-7")
    for query in ("note-7", "what does note-7 say?", "(note-7)"):
        answer = search(query, explain=True)
        assert answer.hits[0].memory_id == "note-7"
        assert answer.hits[0].explanation["exact"] == "id"
    assert "note-7" not in ids(search("note-7", kind=("insight",)))


def test_a_row_without_text_is_found_by_its_id(search, store):
    store.put(1, None, memory_id="empty-1")
    answer = search("empty-1")
    assert ids(answer) == ["empty-1"]
    assert answer.hits[0].passage is None


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("where is src/app/main.py", "the loop lives in src/app/main.py since May"),
        ("max.poll.records", "we set max.poll.records=500"),
        ("is /etc/hosts changed", "edit /etc/hosts by hand"),
        ("pollTimeoutMillis", "see pollTimeoutMillis"),
    ],
)
def test_a_path_or_an_identifier_comes_first(search, store, query, text):
    for row_id in range(1, 40):
        store.put(row_id, f"app main py src etc hosts max poll records timeout millis {row_id}")
    store.put(99, f"{'A long preamble about other matters. ' * 30}{text}")
    answer = search(query, explain=True)
    assert ids(answer)[0] == "m99"
    assert answer.hits[0].explanation["exact"] in ("identifier", "verbatim")


def test_a_name_that_many_hold_puts_none_of_them_before_what_answers(search, store):
    for row_id in range(1, 80):
        store.put(row_id, f"node.js {row_id}")
    store.put(99, "the memory limit of the node service was raised")
    assert ids(search("memory limit of node.js"))[0] == "m99"


def test_a_name_that_only_has_the_same_terms_is_not_exact(search, store):
    store.put(1, "max poll records")
    (hit,) = search("set max.poll.records", explain=True).hits
    assert hit.explanation["exact"] is None


# -- weights -------------------------------------------------------------------------------------


def test_recency_halves_every_thirty_days(search, store):
    for row_id, days in enumerate([0, 30, 60, -5], start=1):
        store.put(row_id, f"kafka lag {row_id}", created_at=NOW - timedelta(days=days))
    store.put(5, "kafka lag 5")
    answer = search("kafka lag", recency_weight=1.0, explain=True, fold=False)
    factors = {hit.memory_id: hit.explanation["recency"]["factor"] for hit in answer.hits}
    assert factors == pytest.approx({"m1": 1.0, "m2": 0.5, "m3": 0.25, "m4": 1.0, "m5": 0.0})
    assert [hit.score for hit in answer.hits] == pytest.approx([1.0, 1.0, 0.5, 0.25, 0.0])


def test_importance_weighs_as_it_is_told(search, store):
    store.put(1, "kafka lag", importance=0.0)
    store.put(2, "kafka lag and more words beside it", importance=1.0)
    assert ids(search("kafka lag"))[0] == "m1"
    plain = {hit.memory_id: hit.score for hit in search("kafka lag").hits}
    weighed = search("kafka lag", importance_weight=0.75)
    assert ids(weighed)[0] == "m2"
    assert weighed.hits[0].score == pytest.approx(plain["m2"] * 0.25 + 0.75)


def test_hits_below_the_lowest_score_are_left_out(search, store):
    for row_id in range(1, 20):
        store.put(row_id, "kafka lag" + " filler" * row_id)
    everything = search("kafka lag", limit=20).hits
    lowest = everything[7].score
    some = search("kafka lag", limit=20, min_score=lowest)
    assert [hit.score for hit in some.hits] == [h.score for h in everything if h.score >= lowest]
    assert some.next_offset is None
    assert search("kafka lag", min_score=3.0).hits == ()


# -- what a hit brings ---------------------------------------------------------------------------


def test_context_is_the_turns_around_in_their_order(search, store):
    conversation(store, [f"turn {n}" for n in range(1, 4)] + ["the quorum"] + ["turn 5", "turn 6"])
    hit = search("quorum", context=2, limit=1).hits[0]
    assert [turn.memory_id for turn in hit.context.before] == ["m2", "m3"]
    assert [turn.text for turn in hit.context.after] == ["turn 5", "turn 6"]
    assert hit.context.before[0].created_at == NOW - timedelta(days=1)
    assert "context" in hit.to_json()
    assert search("quorum", limit=1).hits[0].context is None


def test_a_memory_without_a_session_has_no_context(search, store):
    store.put(1, "the quorum")
    hit = search("quorum", context=10).hits[0]
    assert hit.context.before == hit.context.after == ()


def test_an_explanation_adds_up(search, store):
    conversation(store, ["which broker lost its quorum?", "the third broker", "fine"])
    store.put(50, "a broker of another kind")
    answer = search("broker quorum", explain=True, recency_weight=0.2, importance_weight=0.1)
    json.dumps(answer.to_json())
    for hit in answer.hits:
        told = hit.explanation
        meaning, words = told["meaning"], told["words"]
        near = min(meaning["normalised"] + meaning["from_neighbours"], 1.0)
        fused = meaning["weight"] * near + words["weight"] * words["normalised"]
        assert told["fused"] == pytest.approx(fused)
        score = fused * 0.8 + 0.2 * told["recency"]["factor"]
        score = score * 0.9 + 0.1 * told["importance"]["factor"]
        assert hit.score == told["score"] == pytest.approx(score)
    first = answer.hits[0].explanation["words"]
    assert set(first["matched"]) == {"broker", "quorum"}
    assert "explanation" not in search("broker").hits[0].to_json()


@pytest.mark.parametrize(
    ("query", "model"), [("zebra quorum lost", False), ('the "quorum was lost" at', True)]
)
def test_the_passage_of_a_long_text_holds_the_words(search, store, query, model):
    filler = "All is well in this line of the log. " * 200
    store.put(1, f"{filler}The zebra quorum was lost at noon. {filler}")
    hit = search(query, limit=1, **({} if model else {"embed_query": None})).hits[0]
    assert "zebra quorum was lost" in hit.passage.text
    assert hit.text[hit.passage.start : hit.passage.end] == hit.passage.text
    assert len(hit.passage.text) < 1_000 < len(hit.text)


def test_the_passage_is_the_one_that_is_nearest_in_meaning(search, store, embedder):
    text = "All is well in this line of the log. " * 200
    store.put(1, text)
    store.embed(text, embedder("nothing"), embedder("zebra"), embedder("quorum"))
    hit = search("zebra", limit=1).hits[0]
    assert (hit.passage.start, hit.passage.end) == (10, 20)


# -- cold rows -----------------------------------------------------------------------------------


@pytest.fixture
def cold(store):
    """The store with every text far away; `fetched` notes what was asked for."""
    near, store.fetched, store.away = store.rows, [], ""

    def rows(row_ids):
        return {
            i: replace(row, text=None, tier="cold", summary=f"about {row.memory_id}")
            for i, row in near(row_ids).items()
        }

    def with_texts(found):
        store.fetched.append(sorted(found))
        if store.away:
            return {i: replace(row, text_missing=store.away) for i, row in found.items()}
        return {i: replace(row, text=near([i])[i].text) for i, row in found.items()}

    store.rows, store.with_texts = rows, with_texts
    return store


def test_only_the_texts_of_the_page_are_fetched_at_once(search, cold):
    for row_id in range(1, 60):
        cold.put(row_id, f"kafka lag {row_id}")
    answer = search("kafka lag", limit=7)
    assert [len(asked) for asked in cold.fetched] == [7]
    assert all(hit.text and hit.tier == "cold" for hit in answer.hits)
    assert answer.hits[0].passage.text == answer.hits[0].text


def test_a_cold_text_that_is_away_says_so(search, cold):
    cold.put(1, "kafka lag")
    cold.away = "the bucket does not answer"
    (hit,) = search("kafka").hits
    assert hit.text is None
    assert hit.passage is None
    assert hit.summary == "about m1"
    assert hit.text_missing == "the bucket does not answer"


def test_the_turns_around_say_so_too(search, cold):
    conversation(cold, ["turn 1", "the quorum", "turn 3"])
    cold.away = "the bucket does not answer"
    context = search("quorum", context=1, limit=1).to_json()["hits"][0]["context"]
    for turn in (*context["before"], *context["after"]):
        assert turn["text"] is None
        assert turn["summary"] == f"about {turn['memory_id']}"
        assert turn["text_missing"] == "the bucket does not answer"


def test_cold_rows_are_verbatim_by_the_index_alone(search, cold):
    cold.put(1, f"{'preamble ' * 40}the team was told about it on channel nine")
    for row_id in range(2, 30):
        cold.put(row_id, f"the channel was told about team nine {row_id}")
    answer = search("the team was told about it on channel nine")
    assert ids(answer)[0] == "m1"
    assert answer.hits[0].scores.verbatim
