"""The backlog is worked off whatever single texts do, and a crash repeats one batch."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from structlog.testing import capture_logs

from recall_daemon import backlog
from recall_daemon.backlog import Backlog, BacklogSize
from recall_daemon.embed.errors import EmbeddingFailed
from recall_daemon.embed.passages import Span
from recall_daemon.store import audit, merge_few, pending, vectors
from recall_daemon.store.ledger import Place
from recall_daemon.store.merge import merge_rows
from recall_daemon.store.store import Connection, Store, take_numbers
from recall_wire.errors import BucketUnreachable
from recall_wire.manifest import EmbeddingSpace
from recall_wire.records import Record, text_hash

NOW = datetime(2026, 1, 2, tzinfo=UTC)
EXAMPLES = 1_000 if os.environ.get("RECALLD_TEST_SOAK") else 12
Rows = Callable[[Sequence[Record]], pa.Table]


class Picky:
    """An embedder that fails for every batch that holds a text it does not like."""

    space = EmbeddingSpace(model="picky", revision="1", dim=3, normalized=True)

    def __init__(self, hated: str = "") -> None:
        self.hated = hated
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if self.hated in texts and self.hated:
            raise EmbeddingFailed("no")
        self.asked += texts
        return np.ones((len(texts), 3), dtype=np.float32)

    def windows(self, texts: Sequence[str]) -> list[list[Span]]:
        """One for each full stop."""
        return [[Span(0, at + 1) for at, c in enumerate(t + ".") if c == "."] for t in texts]


def merge(store: Store, table: pa.Table) -> None:
    store.write(lambda connection: merge_rows(connection, Place("a", 1), table, NOW))


def test_one_hopeless_text_holds_up_no_other(store: Store, rows: Rows) -> None:
    merge(store, rows([Record(str(n), text=f"text {n}") for n in range(5)]))
    embedder = Picky("text 3")
    work = Backlog(store, on_embedded=lambda: None)

    assert work.drain(embedder) == 4
    assert work.size(embedder.space.space_id) == 0
    assert work.drain(embedder) == 0

    embedder.hated = ""
    later = Backlog(store, on_embedded=lambda: None)
    assert later.size(embedder.space.space_id) == 1
    assert later.drain(embedder) == 1


def test_a_hopeless_text_is_logged_and_lets_a_new_one_be_counted(store: Store, rows: Rows) -> None:
    merge(store, rows([Record("1", text="bad")]))
    embedder = Picky("bad")
    work = Backlog(store, on_embedded=lambda: None)
    with capture_logs() as logs:
        work.drain(embedder)
    merge(store, rows([Record("1", text="bad"), Record("2", text="good")]))

    assert [entry["event"] for entry in logs] == ["text.not_embedded"]
    assert work.size(embedder.space.space_id) == 1
    assert work.drain(embedder) == 1


def test_a_text_forgotten_while_it_was_embedded_leaves_nothing(store: Store, rows: Rows) -> None:
    merge(store, rows([Record("1", text="secret")]))

    class Slow(Picky):
        def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
            merge(store, rows([Record("1", op="forget")]))
            return super().encode(texts)

    Backlog(store, on_embedded=lambda: None).drain(Slow())

    with store.read() as connection:
        assert connection.execute("SELECT * FROM passages").fetchall() == []


def test_each_distinct_text_is_embedded_once_whoever_wrote_it(store: Store, rows: Rows) -> None:
    merge(store, rows([Record("1", text="same"), Record("2", text=" same\n"), Record("3")]))
    table = rows([Record("9", text="same")])
    store.write(lambda connection: merge_rows(connection, Place("b", 1), table, NOW))
    embedder = Picky()

    assert Backlog(store, on_embedded=lambda: None).drain(embedder) == 1
    assert embedder.asked == ["same"]


def test_it_stops_between_batches_and_goes_on_where_it_was(
    store: Store, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "BATCH_TEXTS", 2)
    merge(store, rows([Record(str(n), text=f"text {n}") for n in range(5)]))
    embedder, done = Picky(), [0]
    work = Backlog(store, on_embedded=lambda: done.__setitem__(0, done[0] + 1))

    assert work.drain(embedder, stop=lambda: done[0] == 2) == 4
    assert embedder.asked == [f"text {n}" for n in range(4)]
    assert work.drain(embedder) == 1


def test_a_long_text_is_stored_window_by_window(store: Store, rows: Rows) -> None:
    merge(store, rows([Record("1", text="one. two. three"), Record("2", text="short")]))
    embedder = Picky()

    assert Backlog(store, on_embedded=lambda: None).drain(embedder) == 2
    with store.read() as connection:
        found = connection.execute(
            "SELECT p.passage, p.passages, p.start_char, p.end_char FROM passages p "
            "JOIN memories m USING (text_hash) ORDER BY m.memory_id, p.passage"
        ).fetchall()
    assert found == [(0, 3, 0, 4), (1, 3, 0, 9), (2, 3, 0, 16), (0, 1, 0, 6)]
    assert embedder.asked == ["one.", "one. two.", "one. two. three", "short"]


def test_parts_are_bounded_by_windows_and_hold_whole_texts(
    store: Store, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "BATCH_WINDOWS", 4)
    sizes: list[int] = []

    class Counting(Picky):
        def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
            sizes.append(len(texts))
            return super().encode(texts)

    texts = ["a..", "b..", "c.......", "d", "e"]
    merge(store, rows([Record(str(n), text=text) for n, text in enumerate(texts)]))
    assert Backlog(store, on_embedded=lambda: None).drain(Counting()) == 5
    assert sizes == [3, 3, 8, 2]


def give(store: Store, rows: Rows, texts: Sequence[str]) -> None:
    """Merge texts whose vectors came along."""
    table = rows([Record(str(n), text=text) for n, text in enumerate(texts)])
    given = pa.table(
        {
            "text_hash": table["text_hash"],
            "embedding": pa.array([[2.0] * 3 for _ in texts], pa.list_(pa.float32())),
        }
    )
    merge(store, table)
    space_id = Picky.space.space_id
    store.write(lambda connection: vectors.take_from_snapshot(connection, space_id, given))


def test_a_vector_that_came_along_stays_where_it_covers_the_text(store: Store, rows: Rows) -> None:
    give(store, rows, ["short", "long. text"])
    embedder = Picky()

    assert Backlog(store, on_embedded=lambda: None).drain(embedder) == 2
    assert embedder.asked == ["long.", "long. text"]
    with store.read() as connection:
        found = connection.execute(
            "SELECT m.text, p.passages, p.end_char, p.vector[1] FROM passages p "
            "JOIN memories m USING (text_hash) ORDER BY m.memory_id, p.passage"
        ).fetchall()
    assert found == [("short", 1, 6, 2.0), ("long. text", 2, 5, 1.0), ("long. text", 2, 11, 1.0)]


def make_cold(store: Store) -> None:
    store.write(
        lambda connection: connection.execute(
            "UPDATE memories SET tier = 'cold', text = NULL, cold_file = 1, cold_row = row_no"
        ).fetchall()
    )


def test_cold_texts_are_fetched_and_those_away_hold_up_no_other(store: Store, rows: Rows) -> None:
    merge(store, rows([Record("1", text="cold"), Record("2", text="frozen")]))
    make_cold(store)
    table = rows([Record("3", text="hot")])
    store.write(lambda connection: merge_rows(connection, Place("b", 1), table, NOW))
    far = {1: "cold"}
    is_away = [True]

    def fetch(row_ids: Sequence[int]) -> dict[int, str]:
        if is_away[0]:
            raise BucketUnreachable("the bucket is away")
        return {row_id: far[row_id] for row_id in row_ids if row_id in far}

    embedder = Picky()
    work = Backlog(store, on_embedded=lambda: None, cold_texts=fetch)
    with capture_logs() as logs:
        assert work.drain(embedder) == 1
    assert [entry["event"] for entry in logs] == ["text.away"]
    assert embedder.asked == ["hot"]
    assert work.size(embedder.space.space_id) == 2

    is_away[0] = False
    with capture_logs() as logs:
        assert work.drain(embedder) == 1
    assert [entry["event"] for entry in logs] == ["text.lost"]
    assert embedder.asked == ["hot", "cold"]
    assert work.size(embedder.space.space_id) == 0
    assert len(work.hopeless(embedder.space.space_id)) == 1


def test_its_size_is_counted_anew_once_something_was_committed(
    store: Store, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    count = pending.backlog_size

    def counted(connection: Connection, space_id: str) -> int:
        asked.append(space_id)
        return count(connection, space_id)

    monkeypatch.setattr(pending, "backlog_size", counted)
    embedder = Picky()
    size = BacklogSize(store)
    space_id = embedder.space.space_id
    assert [size.of(space_id), size.of(space_id)] == [0, 0]
    merge(store, rows([Record("m", text="text")]))
    assert [size.of(space_id), size.of(space_id), size.of("another")] == [1, 1, 1]
    assert asked == [space_id, space_id, "another"]
    Backlog(store, on_embedded=lambda: None).drain(embedder)
    assert size.of(space_id) == 0


def waiting_for_a_look(store: Store) -> list[object]:
    with store.read() as connection:
        return connection.execute("SELECT DISTINCT text_hash FROM vanished_texts").fetchall()


def embedded_texts(store: Store) -> set[object]:
    """The texts that have passages, and the hashes of those that no row says."""
    with store.read() as connection:
        found = connection.execute(
            "SELECT DISTINCT coalesce(m.text, p.text_hash) FROM passages p "
            "LEFT JOIN memories m ON m.text_hash = p.text_hash AND m.state = 'live'"
        ).fetchall()
    return {text for (text,) in found}


def post(store: Store, seq: int, record: Record) -> None:
    """As a post merges it, which only notes the text that it replaces."""

    def write(connection: Connection) -> None:
        batches = [merge_few.Batch(Place("a", seq), 0, (record,))]
        plan = merge_few.planned(batches, merge_few.known(connection, batches))
        numbers = take_numbers(connection, {"row_id": plan.new, "change_no": plan.changes})
        merge_few.apply(connection, plan, numbers["row_id"], numbers["change_no"], NOW)

    store.write(write)


def test_the_vectors_of_a_text_that_vanished_go_unless_another_says_it(
    store: Store, rows: Rows
) -> None:
    merge(store, rows([Record(name, text=text) for name, text in zip("123", "aab", strict=True)]))
    embedder = Picky()
    work = Backlog(store, on_embedded=lambda: None)
    work.drain(embedder)
    post(store, 2, Record("1", text="c"))
    post(store, 3, Record("3", text="d"))

    assert work.keep_up(embedder) == 2
    assert len(waiting_for_a_look(store)) == 2
    assert embedded_texts(store) == {"a", "c", "d", text_hash("b")}
    assert problems_of(store) == []
    assert work.drain(embedder) == 0
    assert waiting_for_a_look(store) == []
    assert embedded_texts(store) == {"a", "c", "d"}
    assert problems_of(store) == []


def problems_of(store: Store) -> list[str]:
    with store.read() as connection:
        return [said for said in audit.problems(connection) if "vectors" in said]


def test_keeping_up_looks_at_what_changed_and_now_and_then_at_all(
    store: Store, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    merge(store, rows([Record(str(n), text=f"text {n}") for n in range(3)]))
    embedder = Picky()
    work = Backlog(store, on_embedded=lambda: None)
    assert work.keep_up(embedder) == 3

    def lose(text: str) -> None:
        store.write(
            lambda connection: connection.execute(
                "DELETE FROM passages WHERE text_hash = ?", [text_hash(text)]
            ).fetchall()
        )

    lose("text 1")
    post(store, 2, Record("9", text="text 9"))
    assert work.keep_up(embedder) == 1
    monkeypatch.setattr(backlog, "COMPLETE_S", 0.0)
    assert work.keep_up(embedder) == 1
    assert embedder.asked[-2:] == ["text 9", "text 1"]


def test_what_was_away_is_asked_for_again_though_nothing_changed(store: Store, rows: Rows) -> None:
    embedder, is_away = Picky(), [False]

    def fetch(row_ids: Sequence[int]) -> dict[int, str]:
        if is_away[0]:
            raise BucketUnreachable("the bucket is away")
        return dict.fromkeys(row_ids, "cold")

    work = Backlog(store, on_embedded=lambda: None, cold_texts=fetch)
    assert work.keep_up(embedder) == 0
    merge(store, rows([Record("1", text="cold")]))
    make_cold(store)
    is_away[0] = True
    assert work.keep_up(embedder) == 0
    is_away[0] = False
    assert work.keep_up(embedder) == 1


names = st.sampled_from("123")
texts = st.sampled_from(["a", "b", "c. d", "bad"])
posted = st.tuples(st.just("post"), names, texts)
forgotten = st.tuples(st.just("forget"), names, st.just(""))
gave = st.tuples(st.just("give"), names, texts)
many = st.tuples(st.just("many"), names, texts)


@pytest.mark.timeout(3600)
def test_keeping_up_leaves_nothing_to_wait_whatever_changes(
    tmp_path: Path, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending, "FEW_CHANGED", 2)
    stores = iter(Store(tmp_path / str(number)) for number in range(EXAMPLES * 2))

    @settings(max_examples=EXAMPLES, deadline=None, database=None)
    @given(st.lists(posted | forgotten | gave | many, min_size=1, max_size=8))
    def keep_up(steps: list[tuple[str, str, str]]) -> None:
        with contextlib.closing(next(stores)) as store:
            embedder, work = Picky("bad"), Backlog(store, on_embedded=lambda: None)
            for seq, step in enumerate(steps, 1):
                change(store, rows, seq, step)
                work.keep_up(embedder)
                assert work.size(embedder.space.space_id) == 0
            assert problems_of(store) == []

    keep_up()


def change(store: Store, rows: Rows, seq: int, step: tuple[str, str, str]) -> None:
    what, name, text = step
    if what == "post":
        post(store, seq, Record(name, text=text))
        return
    if what == "give":
        give(store, rows, [text])
        return
    op = "forget" if what == "forget" else "upsert"
    records = [Record(name, op=op, text=text or None)]
    records += [Record(f"{seq}-{n}", text=f"{seq} {n}") for n in range(4 if what == "many" else 0)]
    table = rows(records)
    store.write(lambda connection: merge_rows(connection, Place("a", seq), table, NOW))
