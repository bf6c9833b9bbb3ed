"""The index against brute force over the live rows, whatever happens in whatever batches."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recall_daemon.index import columns as columns_module
from recall_daemon.index import documents
from recall_daemon.index.filters import Filters
from recall_daemon.index.follower import Applied, Index, VectorInvalid
from recall_wire.errors import TransientError

DIM = 4
WORDS = ("red", "green", "blue", "cyan")
ROW_IDS = st.integers(1, 8)
TEXTS = st.sampled_from([None, *WORDS, "red green", "blue cyan red"])
SOME = st.sampled_from(["a", "b", "c"])
MAYBE = st.sampled_from([None, "a", "b", "c"])
DAYS = st.none() | st.integers(1, 28).map(lambda d: datetime(2026, 1, d, tzinfo=UTC))
UPSERT = st.fixed_dictionaries(
    {
        "row_id": ROW_IDS,
        "text": TEXTS,
        "system_id": SOME,
        "kind": SOME,
        "project": MAYBE,
        "session_id": MAYBE,
        "created_at": DAYS,
        "tags": st.lists(SOME, max_size=3),
    }
)
# Small whole numbers: inner products are exact, so ties are ties on every path.
VECTOR = st.lists(st.integers(-3, 3), min_size=DIM, max_size=DIM)
STEP = st.one_of(
    st.tuples(st.just("put"), UPSERT),
    st.tuples(st.just("delete"), ROW_IDS),
    st.tuples(
        st.just("embed"),
        st.tuples(TEXTS.filter(bool), st.lists(VECTOR, min_size=1, max_size=3)),
    ),
    st.tuples(st.just("apply"), st.integers(1, 5)),
)
VALUES = st.lists(st.sampled_from(["a", "b", "c", "never"]), max_size=2).map(tuple)
FILTERS = st.builds(
    Filters,
    systems=VALUES,
    projects=VALUES,
    kinds=VALUES,
    sessions=VALUES,
    tags=VALUES,
    since=DAYS,
    until=DAYS,
)


def passes(row, f):
    checks = (
        (f.systems, [row.system_id]),
        (f.projects, [row.project]),
        (f.kinds, [row.kind]),
        (f.sessions, [row.session_id]),
        (f.tags, list(row.tags)),
    )
    if any(allowed and not set(allowed) & set(values) for allowed, values in checks):
        return False
    if (f.since or f.until) and row.created_at is None:
        return False
    return (f.since is None or row.created_at >= f.since) and (
        f.until is None or row.created_at < f.until
    )


def by_rank(item):
    row, score = item
    newest = -row.created_at.timestamp() if row.created_at else float("inf")
    return (-score, newest, row.row_id)


def brute_vectors(store, query, filters, k):
    scored = [
        (row, max(float(np.dot(v, query)) for *_, v in store.vectors[row.text_hash]))
        for row in store.live_rows.values()
        if row.text_hash in store.vectors and passes(row, filters)
    ]
    return [(row.row_id, score) for row, score in sorted(scored, key=by_rank)[:k]]


def brute_around(store, row_id, n):
    row = store.live_rows[row_id]
    if row.session_id is None:
        return [-1] * n + [row_id] + [-1] * n
    session = [
        other
        for other in store.live_rows.values()
        if (other.system_id, other.session_id) == (row.system_id, row.session_id)
    ]
    session.sort(key=lambda r: (r.created_at.timestamp() if r.created_at else -1, r.row_id))
    ids = [-1] * n + [other.row_id for other in session] + [-1] * n
    at = ids.index(row_id)
    return ids[at - n : at + n + 1]


def brute_words(store, query, filters):
    return {
        row.row_id
        for row in store.live_rows.values()
        if row.text and set(query.split()) & set(row.text.split()) and passes(row, filters)
    }


def run(store, index, steps):
    for what, value in steps:
        if what == "put":
            store.put(**value)
        elif what == "delete":
            store.delete(value)
        elif what == "embed":
            store.embed(value[0], *value[1])
        else:
            store.page_rows = value
            index.apply(store)
    index.apply(store)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    steps=st.lists(STEP, max_size=30),
    query=VECTOR,
    words=st.sampled_from([*WORDS, "red cyan", "blue green red"]),
    filters=FILTERS,
    k=st.integers(1, 9),
    compact_at=st.sampled_from([1, 10_000]),
)
def test_any_history_in_any_batches_equals_brute_force(
    new_store, *, steps, query, words, filters, k, compact_at
):
    store, index = new_store(), Index(DIM)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns_module, "_COMPACT_MIN_DEAD", compact_at)
        run(store, index, steps)
    for narrowed in (filters, Filters()):
        assert index.search_vectors(query, narrowed, k) == brute_vectors(store, query, narrowed, k)
        found = index.search_words(words, narrowed, 100)
        assert {hit.row_id for hit in found} == brute_words(store, words, narrowed)
        assert [hit.score for hit in found] == sorted((h.score for h in found), reverse=True)
        # However small k is, it is the beginning of the full ranking.
        assert index.search_words(words, narrowed, k) == found[:k]
    assert index.counts.rows == index.view().words.rows == len(store.live_rows)
    view, rows = index.view(), sorted(store.live_rows)
    assert view.around(rows, k).tolist() == [brute_around(store, r, k) for r in rows]
    passages = {
        row_id: store.vectors[row.text_hash]
        for row_id, row in store.live_rows.items()
        if row.text_hash in store.vectors
    }
    by_row = dict(brute_vectors(store, query, Filters(), 99))
    expected = [by_row.get(row_id, np.nan) for row_id in rows]
    assert np.array_equal(view.meanings(query, rows), expected, equal_nan=True)
    held = {row_id: [p[3] for p in found] for row_id, found in passages.items()}
    assert {row_id: m.tolist() for row_id, m in view.passages_of(rows).items()} == held
    for row_id in rows:
        spans = passages.get(row_id, [])
        nearest = max(spans, key=lambda p: np.dot(p[3], query), default=None)
        expected = None if nearest is None else (nearest[2], nearest[2] + 10)
        assert view.passage(query, row_id) == expected
    assert index.apply(store) == 0


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEP, max_size=20), query=VECTOR, k=st.integers(1, 9))
def test_a_rebuilt_index_answers_as_the_grown_one(new_store, steps, query, k):
    store, grown, rebuilt = new_store(), Index(DIM), Index(DIM)
    run(store, grown, steps)
    rebuilt.rebuild(store)
    assert rebuilt.search_vectors(query, k=k) == grown.search_vectors(query, k=k)
    assert rebuilt.applied == grown.applied


def test_each_feed_has_its_own_watermark(store):
    index = Index(DIM)
    store.put(1, "red")
    store.embed("red", [1, 0, 0, 0])
    store.put(2, "green")
    assert index.apply(store) == 3
    assert index.applied == Applied(rows=3, vectors=2)
    store.embed("green", [0, 1, 0, 0])
    assert index.apply(store) == 1
    assert [hit.row_id for hit in index.search_vectors([0, 1, 0, 0], k=1)] == [2]


class Repeating:
    """A feed that gives every page again, the older changes after the newer ones."""

    store_id = "a-store"
    space_id = "test@1:4"

    def __init__(self, *pages):
        self.pages = list(pages)

    def row_changes(self, after, limit):
        return self.pages.pop(0) if len(self.pages) > 1 else self.pages[0].slice(0, 0)

    def vector_changes(self, space_id, after, limit):
        return self.pages[-1]

    def last_change(self):
        return 0


def test_an_older_or_repeated_change_changes_nothing(store):
    index = Index(DIM)
    store.put(1, "red")
    old = store.row_changes(0, 10)
    store.delete(1)
    store.put(2, "green")
    new = store.row_changes(0, 10)
    none = store.vector_changes(store.space_id, 0, 10)
    assert index.apply(Repeating(old, new, old, new, new.slice(0, 0), none)) == 3
    assert index.search_words("red") == []
    assert [hit.row_id for hit in index.search_words("green")] == [2]
    assert index.counts.rows == 1


def test_a_row_twice_in_one_batch_counts_once_with_its_newest_state(store):
    index = Index(DIM)
    store.put(1, "red")
    old = store.row_changes(0, 10)
    store.put(1, "green")
    new = store.row_changes(0, 10)
    both = pa.concat_tables([new, old])
    index.apply(Repeating(both, old.slice(0, 0), store.vector_changes(store.space_id, 0, 10)))
    assert index.counts.rows == 1
    assert [hit.row_id for hit in index.search_words("green red")] == [1]
    assert index.search_words("red") == []


def test_a_view_stays_what_it_was_while_rows_change(store):
    index = Index(DIM)
    store.put(1, "red")
    store.put(2, "red")
    store.embed("red", [1, 0, 0, 0])
    index.apply(store)
    before, filters = index.view_for(Filters())
    store.delete(1)
    store.put(2, "green")
    store.put(3, "red")
    index.apply(store)
    assert [hit.row_id for hit in before.search_vectors([1, 0, 0, 0], filters, 9)] == [1, 2]
    assert [hit.row_id for hit in before.search_words("red", filters, 9)] == [1, 2]
    assert [hit.row_id for hit in index.search_vectors([1, 0, 0, 0], k=9)] == [3]


def test_a_vector_that_came_later_is_not_in_an_older_view(store):
    index = Index(DIM)
    store.put(1, "red")
    index.apply(store)
    before, filters = index.view_for(Filters())
    store.embed("red", [1, 0, 0, 0])
    index.apply(store)
    assert before.search_vectors([1, 0, 0, 0], filters, 9) == []
    assert np.isnan(before.meanings([1, 0, 0, 0], [1])).all()
    assert index.view().meanings([1, 0, 0, 0], [1]).tolist() == [1.0]


def test_a_row_that_came_later_is_not_in_an_older_view(store):
    index = Index(DIM)
    store.put(1, "red")
    store.put(5, "red")
    index.apply(store)
    view, coded = index.view_for(Filters())
    store.put(3, "red")
    index.apply(store)
    assert view.passing([1, 3, 5], coded).tolist() == [1, 5]


def test_what_was_deleted_while_nobody_followed_is_not_found_at_the_start(store, tmp_path):
    index = Index(DIM, tmp_path)
    for row_id, project in enumerate(["a", "b", "b", "a", "a"], start=1):
        store.put(row_id, f"red {row_id}" if row_id in (1, 2, 5) else "blue", project=project)
    index.apply(store)
    index.close()
    store.delete(1)
    store.delete(5)
    store.put(2, "red 2", project="c")
    again = Index(DIM, tmp_path)

    def busy(after, limit):
        raise TransientError("not now")

    store.row_changes = busy
    with pytest.raises(TransientError):
        again.apply(store)
    assert [hit.row_id for hit in again.search_words("red")] == [2]
    assert again.search_words("red", Filters(projects=("a",))) == []
    assert again.search_words("red", Filters(projects=("b",))) == []
    again.close()


def test_a_filter_that_leaves_one_of_many_rows_finds_it(store):
    index = Index(DIM)
    for row_id in range(1, 3_001):
        store.put(row_id, "red " * (row_id % 7 + 1), project="big")
    store.put(5_000, "red and a long tail of words that rank it last of all", project="small")
    store.embed("red and a long tail of words that rank it last of all", [-1, 0, 0, 0])
    store.embed("red ", [1, 0, 0, 0])
    index.apply(store)
    only = Filters(projects=("small",))
    assert [hit.row_id for hit in index.search_words("red", only, 5)] == [5_000]
    assert [hit.row_id for hit in index.search_vectors([1, 0, 0, 0], only, 5)] == [5_000]


def test_ties_at_the_cut_go_to_the_newest_whatever_the_order_of_arrival(store, day):
    index = Index(DIM)
    for row_id in (9, 3, 7, 1, 5):
        store.put(row_id, "same text", created_at=day(row_id))
        index.apply(store)
    store.embed("same text", [1, 0, 0, 0])
    index.apply(store)
    assert [hit.row_id for hit in index.search_words("same", k=2)] == [9, 7]
    assert [hit.row_id for hit in index.search_vectors([1, 0, 0, 0], k=2)] == [9, 7]


def test_a_failed_batch_leaves_nothing_half_done(store, monkeypatch):
    index = Index(DIM)
    store.put(1, "red")
    index.apply(store)
    store.put(1, "green")

    def broken(*args):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(documents, "humps", broken)
        with pytest.raises(MemoryError):
            index.apply(store)
    assert [hit.row_id for hit in index.search_words("red")] == [1]
    assert index.apply(store) == 1
    assert index.search_words("red") == []
    assert [hit.row_id for hit in index.search_words("green")] == [1]


def test_vectors_that_cannot_be_compared_are_left_out_and_counted(store):
    index = Index(DIM)
    store.put(1, "red")
    store.put(2, "green")
    store.embed("red", [float("nan"), 0, 0, 0])
    store.embed("green", [1, 0, 0, 0])
    index.apply(store)
    assert [hit.row_id for hit in index.search_vectors([1, 0, 0, 0])] == [2]
    assert index.counts.unusable_vectors == 1


def test_vectors_of_another_length_are_refused_in_one_sentence(store):
    store.dim = 3
    store.put(1, "red")
    store.embed("red", [1, 0, 0])
    with pytest.raises(VectorInvalid, match="1 vectors with 3 numbers, not 4 each"):
        Index(DIM).apply(store)


def test_many_threads_search_while_one_applies(store):
    index, stop, wrong = Index(DIM), threading.Event(), []
    store.embed("red", [1, 0, 0, 0])

    def search():
        while not stop.is_set():
            view, filters = index.view_for(Filters())
            near = [h.row_id for h in view.search_vectors([1, 0, 0, 0], filters, 100)]
            worded = [h.row_id for h in view.search_words("red", filters, 100)]
            if near != worded:
                wrong.append((near, worded))

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for step in range(60):
        store.put(step % 20 + 1, "red")
        store.delete((step * 7) % 20 + 1)
        index.apply(store)
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert index.counts.rows == len(store.live_rows)
