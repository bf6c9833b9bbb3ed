"""The index is proven against the store row by row, and ingest meanwhile raises no alarm."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from recall_daemon.index.follower import Index
from recall_daemon.store import tiers, vectors
from recall_daemon.store.ledger import Place
from recall_daemon.store.memories import StoreFeed
from recall_daemon.store.merge import merge_rows
from recall_daemon.store.store import Store
from recall_daemon.store.vectors import Embedded
from recall_daemon.verify import index_problems
from recall_wire.records import Record, text_hash

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SPACE = "m@r:3"
Rows = Callable[[Sequence[Record]], pa.Table]


class Lossy:
    """A feed that leaves out the changes with some numbers, as a broken index would."""

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
def feed(store: Store) -> StoreFeed:
    return StoreFeed(store, lambda: SPACE)


def merge(store: Store, seq: int, table: pa.Table) -> None:
    store.write(lambda connection: merge_rows(connection, Place("a", seq), table, NOW))


def embed(store: Store, text: str, *passages: Sequence[float]) -> None:
    matrix = np.array(passages or [(1, 0, 0)], dtype=np.float32)
    embedded = Embedded(str(text_hash(text)), [(0, len(text))] * len(matrix), matrix)
    store.write(lambda c: vectors.put(c, SPACE, [embedded]))


def brought_up(feed: StoreFeed) -> Index:
    index = Index(3)
    index.apply(feed)
    return index


def after_losing(
    store: Store, feed: StoreFeed, *lost: int, index: Index | None = None
) -> list[str]:
    """What is said of an index that never heard of the changes `lost`."""
    index = index or Index(3)
    index.apply(Lossy(feed, set(lost)))
    return index_problems(store, index, feed)


def test_an_index_that_has_everything_has_no_problem(
    store: Store, rows: Rows, feed: StoreFeed
) -> None:
    assert after_losing(store, feed) == []
    merge(store, 1, rows([Record(str(n), text=f"text {n}") for n in range(5)]))
    merge(store, 2, rows([Record("0", op="delete"), Record("1", text="edited"), Record("7")]))
    embed(store, "edited")

    assert after_losing(store, feed) == []
    assert index_problems(store, Index(3), feed) == []


def test_a_lacking_row_is_told(store: Store, rows: Rows, feed: StoreFeed) -> None:
    merge(store, 1, rows([Record("1", text="one"), Record("2", text="two")]))

    assert after_losing(store, feed, 1) == ["the index lacks 1 live rows of the store"]


def test_an_outdated_row_is_told(store: Store, rows: Rows, feed: StoreFeed) -> None:
    merge(store, 1, rows([Record("1", text="one")]))
    index = brought_up(feed)
    merge(store, 2, rows([Record("1", text="edited")]))
    merge(store, 3, rows([Record("2", text="two")]))

    assert after_losing(store, feed, 2, index=index) == [
        "the index has an outdated version of 1 rows"
    ]


@pytest.mark.parametrize("op", ["delete", "forget"])
def test_a_row_that_should_be_gone_is_told(
    store: Store, rows: Rows, feed: StoreFeed, op: str
) -> None:
    merge(store, 1, rows([Record("1", text="one")]))
    index = brought_up(feed)
    merge(store, 2, rows([Record("1", op=op)]))  # type: ignore[arg-type]
    merge(store, 3, rows([Record("2", text="two")]))

    assert after_losing(store, feed, 2, index=index) == [
        "the index has 1 rows that are deleted in the store"
    ]


def test_as_many_rows_but_other_ones_are_told(store: Store, rows: Rows, feed: StoreFeed) -> None:
    merge(store, 1, rows([Record("1", text="one")]))
    index = brought_up(feed)
    merge(store, 2, rows([Record("2", text="two")]))
    merge(store, 3, rows([Record("1", op="delete")]))
    merge(store, 4, rows([Record("3", text="three")]))

    assert after_losing(store, feed, 2, 3, index=index) == [
        "the index lacks 1 live rows of the store",
        "the index has 1 rows that are deleted in the store",
    ]


def test_a_row_of_another_store_is_told(
    store: Store, rows: Rows, feed: StoreFeed, tmp_path_factory: pytest.TempPathFactory
) -> None:
    merge(store, 1, rows([Record("1", text="one"), Record("2", text="two")]))
    index = brought_up(feed)
    other = Store(tmp_path_factory.mktemp("other"))
    merge(other, 1, rows([Record("1", text="one")]))
    problems = index_problems(other, index, StoreFeed(other, lambda: SPACE))
    other.close()

    assert problems == ["the index has 1 rows that are deleted in the store"]


def test_lacking_vectors_are_told(store: Store, rows: Rows, feed: StoreFeed) -> None:
    merge(store, 1, rows([Record("1", text="one"), Record("2", text="two")]))
    embed(store, "one")
    embed(store, "two")

    assert after_losing(store, feed, 3) == ["the index lacks the vectors of 1 texts"]


def test_a_vector_that_no_index_can_use_is_no_problem(
    store: Store, rows: Rows, feed: StoreFeed
) -> None:
    merge(store, 1, rows([Record("1", text="one"), Record("2", text="two")]))
    embed(store, "one", (float("nan"), 0, 0))
    embed(store, "two", (float("inf"), float("-inf"), 0))

    assert after_losing(store, feed) == []


def test_a_row_whose_words_are_lost_is_told(store: Store, rows: Rows, feed: StoreFeed) -> None:
    merge(store, 1, rows([Record("1", text="one"), Record("2", text="two")]))
    index = brought_up(feed)
    with index._applying:
        state = index._state
        nothing = feed.row_changes(99, 1)
        state.words.replace([1], nothing, upto=0)

    assert index_problems(store, index, feed) == ["the index lacks the words of 1 rows"]


def test_words_of_another_row_and_words_twice_are_told(
    store: Store, rows: Rows, feed: StoreFeed
) -> None:
    merge(store, 1, rows([Record("1", text="one"), Record("2", text="two")]))
    index = brought_up(feed)
    again = feed.row_changes(0, 9)
    other = again.slice(1).set_column(0, "row_id", pa.array([70], pa.int64()))
    with index._applying:
        index._state.words.replace([], again.slice(0, 1), upto=0)
        index._state.words.replace([2], other, upto=0)

    assert index_problems(store, index, feed) == [
        "the index lacks the words of 1 rows",
        "the index has the words of 1 rows that are gone",
        "the index has the words of 1 rows twice",
    ]


def test_cold_rows_without_words_are_told(store: Store, rows: Rows, feed: StoreFeed) -> None:
    merge(store, 1, rows([Record("1", text="one"), Record("2", text="two")]))
    store.write(lambda c: c.execute("UPDATE memories SET tier = 'cold', text = NULL").fetchall())

    assert index_problems(store, Index(3), feed) == [
        "the index lacks the words of 2 cold rows, whose texts could not be fetched yet"
    ]


@pytest.mark.parametrize("lost", [3, 4])
def test_a_text_that_lacks_one_of_its_passages_is_told(
    store: Store, rows: Rows, feed: StoreFeed, lost: int
) -> None:
    merge(store, 1, rows([Record("1", text="one"), Record("2", text="two")]))
    embed(store, "one", (1, 0, 0), (0, 1, 0), (0, 0, 1))

    assert after_losing(store, feed, lost) == [
        "the index has other vectors than the store of 1 texts"
    ]


def test_passages_that_were_replaced_are_told(store: Store, rows: Rows, feed: StoreFeed) -> None:
    merge(store, 1, rows([Record("1", text="one")]))
    embed(store, "one", (1, 0, 0))
    index = brought_up(feed)
    embed(store, "one", (0, 1, 0))
    merge(store, 2, rows([Record("2", text="two")]))
    embed(store, "two")

    assert after_losing(store, feed, 3, index=index) == [
        "the index has other vectors than the store of 1 texts"
    ]


def test_passages_of_which_some_cannot_be_used_are_no_problem(
    store: Store, rows: Rows, feed: StoreFeed
) -> None:
    merge(store, 1, rows([Record("1", text="one")]))
    embed(store, "one", (1, 0, 0), (float("nan"), 0, 0), (70_000, 0, 0), (0, -70_000, 0))

    assert index_problems(store, Index(3), feed, 9) == []
    assert after_losing(store, feed, 2) == ["the index lacks the vectors of 1 texts"]


class Garbled(StoreFeed):
    """A feed that says something else than the store has, of everything."""

    def row_changes(self, after: int, limit: int) -> pa.Table:
        found = super().row_changes(after, limit)
        at = found.schema.get_field_index("text")
        other = pc.binary_join_element_wise(found["text"], "and more", " ")
        return found.set_column(at, "text", pc.replace_substring(other, "one", "none"))

    def vector_changes(self, space_id: str, after: int, limit: int) -> pa.Table:
        found = super().vector_changes(space_id, after, limit)
        flat = found["vector"].combine_chunks().flatten().to_numpy() + np.float32(0.01)
        at = found.schema.get_field_index("vector")
        return found.set_column(at, "vector", pa.FixedSizeListArray.from_arrays(pa.array(flat), 3))


def test_a_sample_finds_other_words_and_other_numbers(
    store: Store, rows: Rows, feed: StoreFeed
) -> None:
    merge(store, 1, rows([Record("1", text="one is one"), Record("2", text="two")]))
    embed(store, "one is one", (0.6, 0.8, 0), (0, 0, 1))
    index = Index(3)
    index.apply(Garbled(store, lambda: SPACE))

    assert index_problems(store, index, feed) == []
    assert index_problems(store, index, feed, 9) == [
        "the words of 1 sampled rows are not those of their texts: a/1",
        "the vectors of 1 sampled rows are not those of their texts: a/1",
    ]


def test_a_sample_of_an_index_in_a_folder_is_no_alarm(
    store: Store, rows: Rows, feed: StoreFeed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half floats on disk, codes in the store, texts without a term or with thousands."""
    monkeypatch.setattr("recall_daemon.index.vectors.TAIL_MIN", 4)
    random = np.random.default_rng(0)
    texts = [f"text {n} of some" for n in range(40)] + ["", " ", "...", "x " * 9_000, "长" * 5_000]
    merge(store, 1, rows([Record(str(n), text=text) for n, text in enumerate(texts)]))
    for text in texts:
        if text_hash(text) is not None:
            embed(store, text, *random.normal(size=(3, 3)).tolist())
    index = Index(3, tmp_path / "index")
    index.apply(feed)
    hashes = [name for text in texts if (name := text_hash(text)) is not None]
    store.write(
        lambda c: c.execute("UPDATE memories SET tier = 'warm' WHERE row_id < 30").fetchall()
    )
    assert store.write(lambda c: tiers.code_texts(c, hashes)) > 50
    # The first segment is made beside this; the next apply takes it in.
    index._state.space._done.wait()

    assert index_problems(store, index, feed, 99) == []
    assert index.counts.tail_vectors < 99
    index.close()


def test_a_hub_that_ingests_meanwhile_raises_no_alarm(
    store: Store, rows: Rows, feed: StoreFeed
) -> None:
    index, problems = Index(3), []
    done = threading.Event()

    def ingest() -> None:
        try:
            for seq in range(1, 60):
                ops = [
                    Record(str((seq + n) % 40), text=f"{seq} {n}")
                    if n % 3
                    else Record(str((seq + n) % 40), op="delete")
                    for n in range(20)
                ]
                merge(store, seq, rows(ops))
                embed(store, f"{seq} 1")
        finally:
            done.set()

    writer = threading.Thread(target=ingest)
    writer.start()
    while not done.is_set():
        problems += index_problems(store, index, feed)
    writer.join()

    assert problems + index_problems(store, index, feed) == []
    assert index.counts.rows > 0


@pytest.mark.parametrize("moment", ["row_changes", "vector_changes", "space_id"])
def test_what_changes_at_any_moment_of_the_comparison_is_tolerated(
    store: Store, rows: Rows, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    merge(store, 1, rows([Record(str(n), text=f"text {n}") for n in range(4)]))
    embed(store, "text 0")
    seq = iter(range(2, 5))
    changed: list[int] = []

    def change() -> None:
        number = next(seq, None)
        if number is not None:
            changed.append(number)
            merge(
                store, number, rows([Record("0", text=f"new {number}"), Record("1", op="delete")])
            )
            merge(store, number, rows([Record(f"new {number}", text="added")]))
            embed(store, f"new {number}")

    class Moving(StoreFeed):
        @property
        def space_id(self) -> str | None:
            if moment == "space_id":
                change()
            return SPACE

        def row_changes(self, after: int, limit: int) -> pa.Table:
            found = super().row_changes(after, limit)
            if moment == "row_changes":
                change()
            return found

        def vector_changes(self, space_id: str, after: int, limit: int) -> pa.Table:
            found = super().vector_changes(space_id, after, limit)
            if moment == "vector_changes":
                change()
            return found

    index, feed = Index(3), Moving(store, lambda: SPACE)

    assert index_problems(store, index, feed) == []
    assert changed


async def test_a_sample_has_a_bound(open_test_hub: Any) -> None:
    async with open_test_hub() as hub:
        transport = httpx.ASGITransport(hub.app(), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            for sample, status in ((10_000, 200), (10_001, 422), (-1, 422)):
                answer = await http.get("/v1/verify", params={"sample": sample})
                assert answer.status_code == status
            assert "is not between 0 and 10000" in answer.json()["detail"]
