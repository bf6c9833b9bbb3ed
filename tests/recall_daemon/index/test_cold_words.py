"""Words of cold rows come from the bucket when it gives them, and hold nothing else up."""

from __future__ import annotations

import threading

import pytest
from structlog.testing import capture_logs

from recall_daemon.index import cold_words
from recall_daemon.index.follower import Index
from recall_daemon.index.state import StateClosed
from recall_wire.errors import TransientError

DIM = 4
ROWS = 7


class Bucket:
    """Notes what is asked of it; hangs, or runs `meanwhile`, or is away, as it is told to."""

    def __init__(self, store):
        self.store, self.asked, self.is_away = store, [], False
        self.meanwhile = lambda: None
        store.cold_texts = self.texts

    def texts(self, row_ids):
        self.asked.append(list(row_ids))
        self.meanwhile()
        if self.is_away:
            raise TransientError("the bucket is away")
        return {row_id: self.store.cold[row_id] for row_id in row_ids if row_id in self.store.cold}


@pytest.fixture
def bucket(store, monkeypatch):
    monkeypatch.setattr(cold_words, "FETCH_ROWS", 2)
    for row_id in range(1, ROWS + 1):
        store.put(row_id, f"red number{row_id}")
        store.chill(row_id)
    store.page_rows = 1
    return Bucket(store)


@pytest.fixture
def hanging(bucket):
    """An event that is set when the bucket is asked; it answers when the test is over."""
    asked, over = threading.Event(), threading.Event()

    def hang():
        asked.set()
        assert over.wait(60)

    bucket.meanwhile = hang
    yield asked
    over.set()


def found(index, query="red"):
    return sorted(hit.row_id for hit in index.search_words(query, k=99))


def running(work, *arguments):
    """A thread that does this, and the list it puts its error into."""
    errors = []

    def run():
        try:
            work(*arguments)
        except StateClosed as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, errors


def test_rows_come_without_the_bucket_and_their_words_later(store, bucket, tmp_path):
    index = Index(DIM, tmp_path / "index")
    assert index.apply(store) == ROWS
    assert (index.counts.rows, index.counts.lacking_rows, bucket.asked) == (ROWS, ROWS, [])
    assert index.fetch_words(store) == ROWS
    assert bucket.asked == [[1, 2], [3, 4], [5, 6], [7]]
    assert (found(index), index.counts.lacking_rows) == (list(range(1, ROWS + 1)), 0)
    assert index.fetch_words(store) == 0
    assert len(bucket.asked) == 4
    index.close()


def test_what_is_lacking_is_known_after_a_restart(store, bucket, tmp_path):
    index = Index(DIM, tmp_path / "index")
    index.apply(store)
    index.close()
    index = Index(DIM, tmp_path / "index")
    index.apply(store)
    assert index.fetch_words(store) == ROWS
    assert len(found(index)) == ROWS
    index.close()


def test_a_bucket_that_is_away_is_asked_once_a_minute(store, bucket):
    index, bucket.is_away = Index(DIM), True
    index.apply(store)
    with capture_logs() as logs:
        for _ in range(3):
            assert index.fetch_words(store) == 0
    assert (bucket.asked, [entry["event"] for entry in logs]) == ([[1, 2]], ["index.words_lacking"])
    bucket.is_away, index._state.ask_again_at = False, 0.0
    assert index.fetch_words(store) == ROWS


def test_a_text_that_is_gone_holds_no_other_up(store, bucket):
    index = Index(DIM)
    del store.cold[1], store.cold[2]
    index.apply(store)
    assert index.fetch_words(store) == ROWS - 2
    assert (found(index), index.counts.lacking_rows) == ([3, 4, 5, 6, 7], 2)
    assert index.fetch_words(store) == 0
    assert len(bucket.asked) == 4


def test_a_row_that_changes_meanwhile_keeps_its_new_words(store, bucket):
    index = Index(DIM)
    index.apply(store)

    def change():
        bucket.meanwhile = lambda: None
        store.put(1, "green")
        store.delete(2)
        index.apply(store)

    bucket.meanwhile = change
    assert index.fetch_words(store) == ROWS - 2
    assert (found(index), found(index, "green")) == ([3, 4, 5, 6, 7], [1])
    assert index.counts.lacking_rows == 0


def test_a_bucket_that_hangs_holds_neither_new_rows_nor_the_end_up(store, bucket, hanging):
    index = Index(DIM)
    index.apply(store)
    fetching, errors = running(index.fetch_words, store)
    assert hanging.wait(60)
    store.put(50, "green")
    assert index.apply(store) == 1
    assert found(index, "green") == [50]
    assert index.fetch_words(store) == 0  # one call at a time
    index.close()
    fetching.join(60)
    assert [str(error) for error in errors] == ["the index is closed"]


def test_a_rebuild_that_waits_for_the_bucket_is_given_up(store, bucket, hanging, tmp_path):
    index = Index(DIM, tmp_path / "index")
    index.apply(store)
    rebuilding, errors = running(index.rebuild, store)
    assert hanging.wait(60)
    store.put(50, "green")
    index.apply(store)
    assert found(index, "green") == [50]
    index.close()
    rebuilding.join(60)
    assert len(errors) == 1


def test_a_rebuild_has_the_words_before_it_serves(store, bucket):
    index = Index(DIM)
    index.apply(store)
    index.fetch_words(store)
    seen = []
    bucket.meanwhile = lambda: seen.append(len(found(index)))
    index.rebuild(store)
    assert (seen, len(found(index))) == ([ROWS] * 4, ROWS)


def test_a_rebuild_asks_a_bucket_that_is_away_once(store, bucket):
    index, bucket.is_away = Index(DIM), True
    with capture_logs():
        index.rebuild(store)
        assert index.fetch_words(store) == 0
    assert (index.counts.rows, index.counts.lacking_rows, len(bucket.asked)) == (ROWS, ROWS, 1)
