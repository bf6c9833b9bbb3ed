"""Reconciliation: damage of every kind is found by id and version, repaired and counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from recall_daemon.agents.config import Agents
from recall_daemon.agents.upkeep import reconcile
from recall_daemon.agents.upkeep.reconcile import Reconciler
from recall_daemon.index.follower import Index
from recall_daemon.metrics import CONSISTENCY_ERRORS
from recall_daemon.store import reconciling, side_checks, vectors, versions, weigh
from recall_daemon.store.forget import forget_rows
from recall_daemon.store.memories import StoreFeed
from recall_daemon.store.reconciling import Standing
from recall_daemon.store.vectors import Embedded
from recall_daemon.verify import index_problems
from recall_wire.records import text_hash

from .shelf import NOW, SYSTEM, Shelf, ran

SPACE = "m@r:3"


class Mind:
    """Five embedded memories, m0 to m4, as rows 1 to 5, and an index that follows them."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.feed = StoreFeed(shelf.store, lambda: SPACE)
        self.index = Index(3)
        for number in range(5):
            self.add(f"m{number}", f"text {number}", 1 + number)
        self.index.apply(self.feed)

    def add(self, memory_id: str, text: str, number: float) -> None:
        put = embedding(text, number)
        self.shelf.add(memory_id, text, also=put)

    def embed(self, text: str, *numbers: float) -> None:
        self.shelf.store.write(embedding(text, *numbers))

    def forget(self, memory_id: str) -> None:
        self.shelf.store.write(lambda c: forget_rows(c, [(SYSTEM, memory_id)], 1, NOW))

    def lose(self, change: Callable[[], None]) -> None:
        """Something that the index never hears of, while it follows what comes after."""
        before = self.feed.last_change()
        change()
        lost = set(range(before + 1, self.feed.last_change() + 1))
        self.add("later", "later", 9)
        self.index.apply(Lossy(self.feed, lost))  # type: ignore[arg-type]

    def reconcile(self) -> str:
        """What the job says when it is done; afterwards nothing is wrong."""
        job = Reconciler(self.shelf.store, self.index, self.feed, Agents(), now=self.shelf.now)
        detail = ran(job.run).detail
        assert index_problems(self.shelf.store, self.index, self.feed, sample=10) == []
        with self.shelf.store.read() as connection:
            assert side_checks.problems(connection) == []
        return str(detail)


def embedding(text: str, *numbers: float) -> Callable[[Any], None]:
    matrix = np.array([(1, number, 0) for number in numbers], dtype=np.float32)
    embedded = Embedded(str(text_hash(text)), [(0, len(text))] * len(matrix), matrix)
    return lambda connection: vectors.put(connection, SPACE, [embedded])


class Lossy:
    """A feed that leaves out the changes with some numbers."""

    def __init__(self, feed: StoreFeed, lost: set[int]) -> None:
        self._feed = feed
        self._lost = pa.array(sorted(lost), pa.int64())

    def __getattr__(self, name: str) -> object:
        return getattr(self._feed, name)

    def row_changes(self, after: int, limit: int) -> pa.Table:
        return self._rest(self._feed.row_changes(after, limit))

    def vector_changes(self, space_id: str, after: int, limit: int) -> pa.Table:
        return self._rest(self._feed.vector_changes(space_id, after, limit))

    def _rest(self, table: pa.Table) -> pa.Table:
        return table.filter(pc.invert(pc.is_in(table["change_no"], self._lost)))


@pytest.fixture
def mind(shelf: Shelf) -> Mind:
    return Mind(shelf)


def new_row(mind: Mind) -> None:
    mind.lose(lambda: mind.shelf.add("new", "text 0"))


def edited_row(mind: Mind) -> None:
    mind.lose(lambda: mind.shelf.add("m1", "text 0"))


def forgotten_row(mind: Mind) -> None:
    mind.lose(lambda: mind.forget("m2"))


def lost_words(mind: Mind) -> None:
    words = mind.index._state.words
    words.replace([4], mind.feed.rows_now([]), upto=words.watermark)


def double_words(mind: Mind) -> None:
    words = mind.index._state.words
    words.replace([], mind.feed.rows_now([4]), upto=words.watermark)


def words_of_the_dead(mind: Mind) -> None:
    rows = mind.feed.rows_now([3])
    mind.forget("m2")
    mind.index.apply(mind.feed)
    words = mind.index._state.words
    words.replace([], rows, upto=words.watermark)


def lost_vectors(mind: Mind) -> None:
    state = mind.index._state
    state.space.vectors._forget(np.array([4]))


def old_vectors(mind: Mind) -> None:
    mind.lose(lambda: mind.embed("text 4", 7, 8))


def str_or_name(one: object) -> str:
    return getattr(one, "__name__", str(one))


DAMAGE: list[tuple[Callable[[Mind], None], str]] = [
    (new_row, "row_missing"),
    (edited_row, "row_outdated"),
    (forgotten_row, "row_deleted"),
    (lost_words, "row_words"),
    (double_words, "row_words"),
    (words_of_the_dead, "row_deleted"),
    (lost_vectors, "text_vectors"),
    (old_vectors, "text_vectors"),
]


@pytest.mark.parametrize(("damage", "kind"), DAMAGE, ids=str_or_name)
def test_repairs_per_id_and_version_what_was_damaged(
    mind: Mind, damage: Callable[[Mind], None], kind: str
) -> None:
    damage(mind)
    assert index_problems(mind.shelf.store, mind.index, mind.feed) != []
    counted = CONSISTENCY_ERRORS.labels(kind)
    before = counted._value.get()
    assert mind.reconcile().endswith(f"repaired: 1 {kind}")
    assert counted._value.get() == before + 1
    assert mind.reconcile().endswith("repaired: nothing")


def test_an_outdated_version_is_found_where_the_counts_agree(mind: Mind) -> None:
    mind.lose(lambda: mind.shelf.add("m1", "text 1 edited"))
    mind.shelf.add("m2", "text 2 edited")
    mind.index.apply(mind.feed)
    assert mind.index.counts.rows == 6
    assert "1 row_outdated" in mind.reconcile()
    assert {hit.row_id for hit in mind.index.search_words("edited")} == {2, 3}


def test_tombstones_win(mind: Mind) -> None:
    forgotten_row(mind)
    assert [hit.row_id for hit in mind.index.search_words("2")] == [3]
    mind.reconcile()
    assert mind.index.search_words("2") == []
    assert 3 not in [hit.row_id for hit in mind.index.search_vectors([1, 3, 0])]


def test_what_was_mended_follows_later_changes(mind: Mind) -> None:
    for damage in (edited_row, forgotten_row, lost_words, lost_vectors):
        damage(mind)
    mind.reconcile()
    mind.shelf.add("m1", "a third text")
    mind.shelf.add("m3", "a fourth text")
    mind.index.apply(mind.feed)
    assert index_problems(mind.shelf.store, mind.index, mind.feed, sample=10) == []
    assert mind.reconcile().endswith("repaired: nothing")


def test_a_change_that_comes_while_it_compares_is_no_damage(
    mind: Mind, monkeypatch: pytest.MonkeyPatch
) -> None:
    piece = mind.index.piece

    def and_change(*asked: Any) -> Any:
        held = piece(*asked)
        mind.shelf.add("m1", "changed meanwhile")
        mind.forget("m2")
        mind.shelf.add("more", "came meanwhile")
        return held

    monkeypatch.setattr(mind.index, "piece", and_change)
    assert mind.reconcile().endswith("repaired: nothing")


def test_a_row_mended_before_it_is_followed_is_there_once(
    mind: Mind, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost_words(mind)
    mend = mind.index.mend

    def changed(*asked: Any) -> None:
        mind.shelf.add("m3", "newer than what is followed")
        mend(*asked)

    monkeypatch.setattr(mind.index, "mend", changed)
    mind.reconcile()
    assert [hit.row_id for hit in mind.index.search_words("newer")] == [4]


def test_vectors_mended_before_they_are_followed_hide_no_others(
    mind: Mind, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost_vectors(mind)
    mend = mind.index.mend

    def changed(*asked: Any) -> None:
        mind.add("m3", "of another memory", 7)
        mind.embed("text 4", 8)
        mend(*asked)

    monkeypatch.setattr(mind.index, "mend", changed)
    assert mind.reconcile().endswith("repaired: 1 text_vectors")


def test_a_run_is_bounded_and_the_next_goes_on(mind: Mind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "SLICE_ROWS", 1)
    monkeypatch.setattr(reconcile, "RUN_ROWS", 2)
    job = Reconciler(mind.shelf.store, mind.index, mind.feed, Agents(), now=mind.shelf.now)
    assert [ran(job.run).done for _ in range(4)] == [2, 2, 1, 2]
    standing = job.standing()
    assert (standing.upto, standing.last and standing.last.rows) == (2, 5)
    lost_words(mind)
    ran(job.run)
    ran(job.run)
    last = job.standing().last
    assert last is not None
    assert (last.repaired, last.ended_at) == ({"row_words": 1}, NOW.isoformat())


def test_what_a_forgotten_memory_left_beside_it_goes(mind: Mind) -> None:
    mind.shelf.store.write(
        lambda c: c.execute(
            "UPDATE memories SET state = 'forgotten', text = NULL, metadata = NULL, "
            "change_no = 99, text_hash = NULL WHERE memory_id = 'm0'; "
            "DELETE FROM passages WHERE change_no = 2; "
            "UPDATE counters SET value = 99 WHERE name = 'change_no'; "
            "INSERT INTO group_members VALUES (1, 'agents', 'm0', 1, now()); "
            "INSERT INTO context_groups VALUES (1, 'agents', 'g', NULL, NULL, NULL, now()); "
            "INSERT INTO relationships VALUES "
            "(1, 'agents', 'm1', 'agents', 'm0', 't', 1, 'x', now())"
        ).fetchall()
    )
    assert mind.reconcile().endswith("repaired: 1 side_rows")
    assert mind.shelf.query("FROM group_members") == mind.shelf.query("FROM relationships") == []
    assert mind.shelf.query("SELECT count(*) FROM lives") == [(4,)]


def test_a_memory_says_what_its_head_says(mind: Mind) -> None:
    def unlike(connection: Any) -> None:
        held = weigh.hold(connection, SYSTEM, "m1", NOW)
        served = next(one for one in held.versions if one.version_id == held.head_id)
        assert served.record is not None
        record = replace(served.record, text="edited")
        edit = versions.edit_version(
            record,
            [served.version_id],
            author="x",
            agent_id=None,
            priority=0,
            written_at=NOW,
        )
        weigh.weigh(connection, held, [edit], lambda _: "latest_wins", NOW)
        connection.execute(
            "UPDATE memories SET text = 'other', content_hash = 'other', change_no = 99 "
            "WHERE memory_id = 'm1'; UPDATE counters SET value = 99 WHERE name = 'change_no'"
        ).fetchall()

    mind.shelf.store.write(unlike)
    assert "1 heads" in mind.reconcile()
    assert mind.shelf.query("SELECT text FROM memories WHERE memory_id = 'm1'") == [("edited",)]


def test_what_readyz_says_of_it(mind: Mind) -> None:
    assert reconcile.health(Standing()) == "ok, no whole pass yet"
    lost_words(mind)
    mind.reconcile()
    with mind.shelf.store.read() as connection:
        said = reconcile.health(reconciling.standing(connection))
    assert said == f"ok, 5 rows compared until {NOW.isoformat()}, 1 repaired"


def test_a_hub_without_a_model_compares_rows_alone(shelf: Shelf) -> None:
    shelf.add("a")
    feed = StoreFeed(shelf.store, lambda: None)
    index = Index(3)
    assert ran(Reconciler(shelf.store, index, feed, Agents(), now=shelf.now).run).done == 1
