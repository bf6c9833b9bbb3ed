"""An answer says when memories may be missing; right after a start it waits for them first."""

from __future__ import annotations

import io
import threading

import pytest
from rich.console import Console

from recall_daemon.index.follower import Index
from recall_daemon.search import engine
from recall_daemon.search.engine import Search
from recall_daemon.search.query import SearchRequest
from recall_daemon.tables import print_hits
from recall_wire.errors import TransientError

DIM = 64


@pytest.fixture
def index():
    return Index(DIM)


@pytest.fixture
def ask(index, store, embedder):
    search = Search(index, store, embedder)
    return lambda query: search.search(SearchRequest(query))


def failing_after_rows(store, monkeypatch):
    def away(*_):
        raise TransientError("no vectors now")

    monkeypatch.setattr(store, "vector_changes", away)


def test_the_first_search_waits_for_the_index(index, ask, store):
    store.put(1, "kafka lag")
    asking, answers = threading.Event(), []

    def first():
        asking.set()
        answers.append(ask("kafka"))

    thread = threading.Thread(target=first)
    thread.start()
    asking.wait()
    index.apply(store)
    thread.join()
    (answer,) = answers
    assert ([hit.memory_id for hit in answer.hits], answer.incomplete) == (["m1"], False)


def test_it_does_not_wait_for_long_and_says_incomplete(index, ask, store, monkeypatch):
    monkeypatch.setattr(engine, "START_WAIT_S", 0.01)
    store.put(1, "kafka lag")
    answer = ask("kafka")
    assert (answer.hits, answer.incomplete) == ((), True)
    told = io.StringIO()
    print_hits(Console(file=told, width=200), answer.to_json())
    assert "incomplete: the index is being read" in told.getvalue()
    index.apply(store)
    assert ask("kafka").to_json()["incomplete"] is False


def test_an_index_that_fails_holds_no_search_up(index, ask, store, monkeypatch):
    store.put(1, "kafka lag")
    with monkeypatch.context() as patch:
        failing_after_rows(store, patch)
        with pytest.raises(TransientError):
            index.apply(store)
    monkeypatch.setattr(engine, "START_WAIT_S", 3600.0)
    assert ask("kafka").incomplete
    index.apply(store)
    assert not ask("kafka").incomplete


def test_cold_rows_without_words_are_missing(index, ask, store):
    store.put(1, "kafka lag")
    store.chill(1)
    index.apply(store)
    assert ask("kafka").incomplete
    index.fetch_words(store)
    assert not ask("kafka").incomplete
