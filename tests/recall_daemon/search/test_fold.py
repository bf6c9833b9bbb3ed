"""Near-duplicates are one hit; what differs in anything that matters is not one."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recall_daemon.index.analysis import said_key, telling_words
from recall_daemon.index.follower import Index
from recall_daemon.search.engine import Search
from recall_daemon.search.fold import Sayings, leaders
from recall_daemon.search.query import SearchRequest

DIM = 64
ONE = np.eye(DIM, dtype=np.float32)[0]


def one_meaning(*_):
    """The worst case: to the model all texts mean the same."""
    return ONE


@pytest.fixture
def search(store):
    def ask(query="service", **fields):
        for row in store.live_rows.values():
            if row.text:
                store.embed(row.text, ONE.tolist())
        index = Index(DIM)
        index.apply(store)
        index.fetch_words(store)
        return Search(index, store, one_meaning).search(SearchRequest(query, **fields))

    return ask


def groups(answer):
    return sorted(sorted(w.memory_id for w in hit.witnesses) for hit in answer.hits)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The service uses port 8080.", "the service uses port 8080"),
        ("The service uses Postgres", "Service uses the *Postgres*!"),
        ("a  service\nuses \u201cPostgres\u201d", "The service uses Postgres"),
    ],
)
def test_the_same_words_are_one_hit(search, store, one, other):
    store.put(1, one)
    store.put(2, other)
    assert groups(search()) == [["m1", "m2"]]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The service uses port 8080.", "The service uses port 8081."),
        ("The service limit is -5", "The service limit is 5"),
        ("The service needs 1.5 GB", "The service needs 15 GB"),
        ("The service is up", "The service is not up"),
        ("The service doesn't retry", "The service does retry"),
        ("The service is down", "The service was down"),
        ("The service may restart", "The service must restart"),
        ("The service moved from A to B", "The service moved from B to A"),
        ("Alice owns the service", "Bob owns the service"),
        ("The service is written in C++", "The service is written in C#"),
        ("The service failed", "The service failed?"),
        ("The service runs on staging", "The service runs on production"),
        ("service ticket ABC-12", "service ticket ABC-21"),
        ("service 👍", "service 👎"),
    ],
)
def test_what_differs_is_kept_apart(search, store, one, other):
    store.put(1, one)
    store.put(2, other)
    assert groups(search()) == [["m1"], ["m2"]]


_WORDS = st.sampled_from(["the", "The", "a", "port", "port,", "8080", "8081", "not", "v1.2", "v12"])


@given(texts=st.lists(st.lists(_WORDS, min_size=1, max_size=6), min_size=2, max_size=8))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_fold_hides_another_number_or_a_negation(search, store, texts):
    for row_id in list(store.live_rows):
        store.delete(row_id)
    said = {}
    for row_id, words in enumerate(texts, start=store.change_no + 1):
        said[f"m{row_id}"] = " ".join(["service", *words])
        store.put(row_id, said[f"m{row_id}"])
    found = groups(search(limit=100))
    assert sorted(memory_id for group in found for memory_id in group) == sorted(said)
    for group in found:
        telling = {tuple(re.findall(r"not|[\d.]+", said[memory_id])) for memory_id in group}
        assert len(telling) == 1


def test_copies_are_one_hit_that_the_newest_stands_for(search, store, day):
    for row_id, system in enumerate(["alpha", "beta", "gamma"], start=1):
        store.put(row_id, "service note", system_id=system, agent_id=f"a{row_id}", memory_id="same")
    store.put(2, "service note", system_id="beta", memory_id="same", created_at=day(9))
    store.put(3, "service note", system_id="gamma", memory_id="same", created_at=day(4))
    (hit,) = search().hits
    assert hit.system_id == "beta"
    assert hit.witness_count == 3
    assert {w.system_id for w in hit.witnesses} == {"alpha", "beta", "gamma"}
    assert (hit.system_id, hit.memory_id) in {(w.system_id, w.memory_id) for w in hit.witnesses}


def test_all_copies_are_counted_however_many(search, store):
    for row_id in range(1, 701):
        store.put(row_id, "service note")
    store.put(2_000, "another word about the service and more beside it")
    answer = search()
    first, second = answer.hits
    assert first.witness_count == 700
    assert len(first.witnesses) == 100
    assert second.memory_id == "m2000"


def test_copies_outside_the_filter_are_no_witnesses(search, store):
    store.put(1, "service note", project="mine")
    store.put(2, "service note", project="mine")
    store.put(3, "service note", project="secret")
    (hit,) = search(project=("mine",)).hits
    assert {w.memory_id for w in hit.witnesses} == {"m1", "m2"}
    assert hit.witness_count == 2


def test_folding_can_be_turned_off(search, store):
    store.put(1, "service note")
    store.put(2, "service note")
    assert groups(search(fold=False)) == [["m1"], ["m2"]]


def test_the_page_is_filled_from_what_comes_after(search, store):
    for row_id in range(1, 9):
        store.put(row_id, "service service service")
    for row_id in range(11, 16):
        store.put(row_id, f"the service number {row_id} has much more to say")
    answer = search(limit=5)
    assert len(answer.hits) == 5
    assert answer.hits[0].witness_count == 8


def test_a_cold_text_is_folded_as_others_are(search, store):
    _three_notes(store, cold=(2, 3))
    assert groups(search()) == [["m1", "m2", "m3"]]


@pytest.mark.parametrize("pools", [(50, 200, 1_000), (2, 50, 1_000)])
def test_a_cold_text_whose_words_are_not_here_yet_is_folded_by_its_hash(
    search, store, monkeypatch, pools
):
    monkeypatch.setattr("recall_daemon.search.rank.POOL_ROWS", pools)
    _three_notes(store, cold=(2, 3))
    store.bucket_is_away = True
    assert groups(search()) == [["m1", "m3"], ["m2"]]


def _three_notes(store, cold):
    for row_id, text in enumerate(["service note", "Service note.", "service note"], start=1):
        store.put(row_id, text)
        store.embed(text, ONE.tolist())
    for row_id in cold:
        store.chill(row_id)


@given(st.text(max_size=80))
def test_telling_words_are_the_same_in_other_spacing_and_case(text):
    words = telling_words(text)
    assert telling_words(f"  {' '.join(text.split())}\n") == words
    assert all(word.strip() for word in words)


def test_texts_without_telling_words_have_no_key_and_others_one_of_64_bits():
    assert [said_key(text) for text in ("", " \n", "the", "a, the -")] == [0, 0, 0, said_key("-")]
    keys = [said_key(text) for text in ("not", "is not", "NOT.", "not is", "-")]
    assert keys[0] == keys[2]
    assert len(set(keys)) == 4
    assert all(0 < key < 1 << 64 for key in keys)


def test_an_id_that_several_systems_use_is_not_answered_by_a_copy_under_another(search, store, day):
    text = "The cluster is in Frankfurt"
    store.put(1, text, memory_id="note-17", system_id="a", created_at=day(1))
    store.put(2, text, memory_id="note-17", system_id="b", created_at=day(2))
    store.put(3, text, memory_id="zz-9", system_id="c", created_at=day(3))
    first = search("note-17").hits[0]
    assert first.memory_id == "note-17"
    assert {(w.system_id, w.memory_id) for w in first.witnesses} == {
        ("a", "note-17"),
        ("b", "note-17"),
    }


_FEW = st.integers(0, 3)


@given(
    rows=st.lists(
        st.tuples(_FEW, _FEW, _FEW, st.sampled_from([None, "id", "verbatim"])), max_size=30
    ),
    cut=st.integers(0, 30),
)
def test_the_leaders_are_those_of_one_look_after_the_other(rows, cut):
    """The plain way: row by row, each joins the first hit that has one of its keys."""
    first_of, expected = {}, []
    for at, (said, high, low, match) in enumerate(rows):
        keys = [(match, "said", said)] if said else []
        keys += [(match, high, low)] if high else []
        lead = next((first_of[key] for key in keys if key in first_of), at)
        for key in keys:
            first_of.setdefault(key, lead)
        expected.append(lead)
    parts = [part for part in (rows[:cut], rows[cut:]) if part]
    if parts:
        assert leaders([_columns(part) for part in parts]).tolist() == expected


def _columns(rows):
    said, high, low, matches = zip(*rows, strict=True)
    numbers = [np.asarray(column, dtype=np.uint64) for column in (said, high, low)]
    # Without a text its hash is 0 as a whole.
    numbers[2][numbers[1] == 0] = 0
    return Sayings(*numbers, matches)
