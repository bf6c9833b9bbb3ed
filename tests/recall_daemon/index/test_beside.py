"""What goes on beside searches: segments swapped, spaces adopted, rebuilds, and an end of all."""

from __future__ import annotations

import copy
import sys
import threading
import weakref
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # index_life

from index_life import DIM, Life, brute

from recall_daemon.index import sealing, segment, spaces
from recall_daemon.index.filters import Filters
from recall_daemon.index.follower import Index
from recall_daemon.index.state import StateClosed

QUERY = [3, -1, 2, 5]
WAIT_S = 60


@pytest.fixture
def life(store, tmp_path, small_segments):
    life = Life(store, tmp_path / "index", 4)
    for _ in range(200):
        life.step()
    store.page_rows = 1_000
    life.check()
    yield life
    life.index.close()


@pytest.fixture
def other(life):
    """The same rows with other vectors: another model's."""
    other = copy.deepcopy(life.store)
    other.space_id = "another@1:4"
    for text_hash, passages in other.vectors.items():
        other.vectors[text_hash] = [(no, n, at, [-x for x in v]) for no, n, at, v in passages]
    return other


def answers(life):
    return life.index.search_vectors(QUERY, Filters(), 7)


def started(work, *arguments):
    thread = threading.Thread(target=work, args=arguments)
    thread.start()
    return thread


def ended(thread):
    thread.join(WAIT_S)
    return not thread.is_alive()


def test_an_adopted_space_stays_while_the_feed_still_names_the_one_before(life, other):
    feed, first = copy.copy(life.store), life.store.space_id
    of = {first: life.store, other.space_id: other}
    feed.vector_changes = lambda space_id, *rest: of[space_id].vector_changes(space_id, *rest)
    theirs = brute(other, QUERY, Filters(), 7)
    assert theirs != answers(life)

    assert life.index.adopt(other) > 0
    life.index.apply(feed)
    assert answers(life) == theirs
    assert life.index.adopt(other) == 0
    feed.space_id = other.space_id
    life.index.apply(feed)
    assert answers(life) == theirs
    # From now on what the feed names is meant.
    feed.space_id = first
    life.index.apply(feed)
    assert answers(life) == brute(life.store, QUERY, Filters(), 7)


def test_changes_are_followed_while_a_space_is_adopted(life, other):
    real, followed = other.vector_changes, []

    def meanwhile(space_id, after, limit):
        other.vector_changes = real
        life.put()
        thread = started(life.index.apply, life.store)
        followed.append(ended(thread))
        return real(space_id, after, limit)

    other.vector_changes = meanwhile
    before = life.index.counts.applied.rows
    life.index.adopt(other)
    assert followed == [True]
    assert life.index.counts.applied.rows > before


def test_searches_go_on_while_segments_are_swapped_and_all_is_made_anew(life):
    expected, failed, done = brute(life.store, QUERY, Filters(), 7), [], threading.Event()
    worded = {hit.row_id for hit in life.index.search_words("red", Filters(), 99)}
    held = life.index.view_for(Filters())

    def search():
        try:
            while not done.is_set():
                assert answers(life) == expected
                hits = life.index.search_words("red", Filters(), 99)
                assert {hit.row_id for hit in hits} == worded
        except BaseException as error:
            failed.append(error)
            raise

    threads = [started(search) for _ in range(3)]
    for _ in range(15):
        life.index.rebuild(life.store)
        life.seal()
    done.set()
    assert all(ended(thread) for thread in threads)
    assert failed == []
    # A view from before all that, whose files are gone, still answers.
    view, coded = held
    assert view.search_vectors(QUERY, coded, 7) == expected
    assert {hit.row_id for hit in view.search_words("red", coded, 99)} == worded


def test_a_close_ends_a_rebuild_and_leaves_what_served(life):
    reading, go_on, ends = threading.Event(), threading.Event(), []
    real = life.store.row_changes

    def slowly(after, limit):
        reading.set()
        assert go_on.wait(WAIT_S)
        return real(after, limit)

    def rebuild():
        try:
            life.index.rebuild(life.store)
        except StateClosed as error:
            ends.append(error)

    life.store.row_changes = slowly
    rebuilding = started(rebuild)
    assert reading.wait(WAIT_S)
    closing = started(life.index.close)
    while not life.index._closed:
        reading.wait(0.01)
    go_on.set()
    assert ended(closing)
    assert ended(rebuilding)
    assert len(ends) == 1
    life.store.row_changes = real
    assert [path.name for path in life.folder.iterdir()] == ["1"]
    life.index = Index(DIM, life.folder)
    life.check()


def test_a_close_gives_up_a_segment_that_is_being_made(life, monkeypatch):
    making = threading.Event()

    def for_ever(plan):
        making.set()
        while not plan.stopped():
            making.wait(0.01)
        raise sealing.SealStopped("stopped")

    life.seal()
    monkeypatch.setattr(spaces, "seal", for_ever)
    while not life.index.counts.sealing:
        life.put()
        life.embed()
        life.index.apply(life.store)
    life._drop_vectors()
    assert making.wait(WAIT_S)
    assert ended(started(life.index.close))
    monkeypatch.setattr(spaces, "seal", sealing.seal)
    life.index = Index(DIM, life.folder)
    life.check()


def test_a_segment_whose_making_ends_unforeseen_loses_no_vector(life, monkeypatch):
    """Not even where it is no error that anybody expects."""

    def unforeseen(plan):
        raise AssertionError("unforeseen")

    life.seal()
    told = []
    monkeypatch.setattr(threading, "excepthook", lambda failed: told.append(failed.exc_value))
    monkeypatch.setattr(spaces, "seal", unforeseen)
    while not told:
        life.put()
        life.embed()
        life.index.apply(life.store)
    assert [str(failed) for failed in told] == ["unforeseen"]
    life._drop_vectors()
    life.check()
    monkeypatch.setattr(spaces, "seal", sealing.seal)
    life.seal()
    life.check()


def test_after_a_close_nothing_is_written_and_views_still_answer(life):
    expected = answers(life)
    life.index.close()
    life.index.close()
    life.put()
    with pytest.raises(StateClosed):
        life.index.apply(life.store)
    with pytest.raises(StateClosed):
        life.index.rebuild(life.store)
    assert answers(life) == expected


def test_two_texts_whose_hashes_share_their_first_half_are_two(new_store, tmp_path):
    store = new_store()
    for row_id in range(1, 40):
        store.put(row_id, f"text {row_id}")
    halves = {f"{row_id:016x}": row_id for row_id in range(1, 40)}
    for low, row_id in halves.items():
        row = store.live_rows[row_id]
        object.__setattr__(row, "text_hash", "abcdef0123456789" + low)
        store.change_no += 1
        store.vectors[row.text_hash] = [(store.change_no, 0, 0, [float(row_id), 0, 0, 0])]
    index = Index(DIM, tmp_path / "index")
    index.apply(store)
    assert index.search_vectors([1, 0, 0, 0], Filters(), 50) == [
        (row_id, float(row_id)) for row_id in range(39, 0, -1)
    ]
    index.close()


def test_a_long_replay_lets_go_of_the_segments_before(store, tmp_path, small_segments, monkeypatch):
    made, most = [], 0
    opened = segment.SegmentFiles.__init__

    def count(files, *arguments):
        nonlocal most
        opened(files, *arguments)
        made.append(weakref.ref(files))
        most = max(most, sum(one() is not None for one in made))

    monkeypatch.setattr(segment.SegmentFiles, "__init__", count)
    monkeypatch.setattr(spaces, "TAIL_MAX", 8)
    for row_id in range(1, 401):
        store.put(row_id, f"text {row_id}")
        store.embed(f"text {row_id}", [row_id % 7, row_id % 5, row_id % 3, 1.0])
    store.page_rows = 10
    index = Index(DIM, tmp_path / "index")
    index.apply(store)
    assert len(made) > 20
    assert most <= 3
    index.close()
