"""One vector per distinct text and space; the backlog is what is missing."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from recall_daemon.store import audit, vectors
from recall_daemon.store.ledger import Place
from recall_daemon.store.merge import merge_rows
from recall_daemon.store.store import Connection, Store
from recall_wire.records import Record, text_hash

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SPACE = "m@r:3"
Rows = Callable[[Sequence[Record]], pa.Table]


def merge(store: Store, seq: int, table: pa.Table) -> None:
    store.write(lambda connection: merge_rows(connection, Place("a", seq), table, NOW))


def waiting(store: Store, space: str = SPACE) -> list[str]:
    with store.read() as connection:
        return [pending.text for pending in vectors.backlog(connection, space, 10)]


def test_each_distinct_text_waits_once_and_only_in_spaces_that_lack_it(
    store: Store, rows: Rows
) -> None:
    records = [
        Record("1", text="same  text"),
        Record("2", text="same text"),
        Record("3", text=None),
        Record("4", text=" \n"),
        Record("5", text="other"),
    ]
    merge(store, 1, rows(records))
    assert waiting(store) == ["same  text", "other"]

    hashes = [text_hash("same text"), text_hash("other")]
    store.write(lambda c: vectors.put(c, SPACE, hashes, np.eye(2, 3, dtype=np.float32)))  # type: ignore[arg-type]

    assert waiting(store) == []
    assert waiting(store, "another@r:3") == ["same  text", "other"]
    with store.read() as connection:
        assert vectors.backlog_size(connection, SPACE) == 0
        assert vectors.backlog_size(connection, "") == 2


def test_a_deleted_row_waits_for_nothing(store: Store, rows: Rows) -> None:
    merge(store, 1, rows([Record("1", text="gone")]))
    merge(store, 2, rows([Record("1", op="delete")]))

    assert waiting(store) == []


def test_vectors_are_fed_in_the_order_of_their_numbers_and_kept_once(
    store: Store, rows: Rows
) -> None:
    merge(store, 1, rows([Record(text, text=text) for text in ("one", "two", "three")]))
    one, two, three = [str(text_hash(text)) for text in ("one", "two", "three")]
    first = np.array([[1, 0, 0], [0, 1, 0]], dtype=np.float32)
    store.write(lambda c: vectors.put(c, SPACE, [one], first[:1]))
    store.write(lambda c: vectors.put(c, SPACE, [two], first[1:]))
    store.write(lambda c: vectors.put(c, SPACE, [two, three], first * 2))

    with store.read() as connection:
        fed = vectors.changes(connection, SPACE, 0, 10)
        later = vectors.changes(connection, SPACE, fed["change_no"][1].as_py(), 10)
        assert vectors.changes(connection, "other@r:3", 0, 10).num_rows == 0
    assert fed["text_hash"].to_pylist() == [one, two, three]
    assert fed["vector"].to_pylist() == [[1, 0, 0], [0, 1, 0], [0, 2, 0]]
    assert later["text_hash"].to_pylist() == [three]


def embed(store: Store, *texts: str, space: str = SPACE) -> None:
    matrix = np.ones((len(texts), 3), dtype=np.float32)
    hashes = [str(text_hash(text)) for text in texts]
    store.write(lambda c: vectors.put(c, space, hashes, matrix))


def embedded(store: Store) -> set[tuple[str, str]]:
    with store.read() as connection:
        assert "vectors" not in " ".join(audit.problems(connection))
        found = connection.execute("SELECT space_id, text_hash FROM passages").fetchall()
    return set(found)


@pytest.mark.parametrize(
    "after",
    [Record("1", op="forget"), Record("1", op="delete"), Record("1", text="new"), Record("1")],
)
def test_what_a_row_no_longer_says_leaves_no_vector_in_any_space(
    store: Store, rows: Rows, after: Record
) -> None:
    merge(store, 1, rows([Record("1", text="old"), Record("2", text="other")]))
    embed(store, "old", "other")
    embed(store, "old", space="another@r:3")

    merge(store, 2, rows([after]))

    assert embedded(store) == {(SPACE, text_hash("other"))}


def test_a_text_that_another_row_has_keeps_its_vector(store: Store, rows: Rows) -> None:
    merge(store, 1, rows([Record("1", text="same"), Record("2", text="same")]))
    embed(store, "same")

    merge(store, 2, rows([Record("1", op="forget")]))
    assert embedded(store) == {(SPACE, text_hash("same"))}

    merge(store, 3, rows([Record("2", text="edited"), Record("3", text="same")]))
    assert embedded(store) == {(SPACE, text_hash("same"))}

    merge(store, 4, rows([Record("3", op="delete")]))
    assert embedded(store) == set()


def test_a_change_beside_the_text_keeps_its_vector(store: Store, rows: Rows) -> None:
    merge(store, 1, rows([Record("1", text="same", project="p")]))
    embed(store, "same")
    merge(store, 2, rows([Record("1", text="same", project="q")]))

    assert embedded(store) == {(SPACE, text_hash("same"))}


def test_a_vector_that_comes_too_late_is_not_kept(store: Store, rows: Rows) -> None:
    merge(store, 1, rows([Record("1", text="old"), Record("2", text="there")]))
    merge(store, 2, rows([Record("1", op="forget")]))

    embed(store, "old", "there", "never")

    assert embedded(store) == {(SPACE, text_hash("there"))}


def test_a_text_that_comes_back_can_be_embedded_again(store: Store, rows: Rows) -> None:
    merge(store, 1, rows([Record("1", text="back")]))
    embed(store, "back")
    merge(store, 2, rows([Record("1", op="delete")]))
    merge(store, 3, rows([Record("1", text="back")]))
    assert waiting(store) == ["back"]

    embed(store, "back")
    assert embedded(store) == {(SPACE, text_hash("back"))}


def test_those_named_are_neither_looked_up_nor_counted(store: Store, rows: Rows) -> None:
    merge(store, 1, rows([Record(text, text=text) for text in ("one", "two", "three")]))
    besides = [str(text_hash("one")), "unknown"]

    with store.read() as connection:
        found = vectors.backlog(connection, SPACE, 1, besides=besides)
        assert [pending.text for pending in found] == ["two"]
        assert vectors.backlog_size(connection, SPACE, besides=besides) == 2


def test_counting_the_backlog_reads_no_text(store: Store, rows: Rows) -> None:
    merge(store, 1, rows([Record("1", text="one")]))
    with store.read() as connection:
        asked = Asked(connection)
        vectors.backlog(asked, SPACE, 1)  # type: ignore[arg-type]
        assert "text" in asked.columns_read()
        vectors.backlog_size(asked, SPACE)  # type: ignore[arg-type]
        assert "text_hash" in asked.columns_read()
        assert "text" not in asked.columns_read()


class Asked:
    """A connection that remembers the last statement."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.sql = ""
        self.parameters: object = None

    def execute(self, sql: str, parameters: object) -> Connection:
        self.sql, self.parameters = sql, parameters
        return self._connection.execute(sql, parameters)

    def columns_read(self) -> set[str]:
        """Every word of the last statement's plan."""
        plan = self._connection.execute(f"EXPLAIN {self.sql}", self.parameters).fetchall()
        return set(re.findall(r"\w+", plan[0][1]))


def test_vectors_that_came_along_are_kept_once_per_text(store: Store, rows: Rows) -> None:
    table = rows(
        [
            Record("1", text="t", embedding=(1.0, 0.0, 0.0)),
            Record("2", text="t", embedding=(1.0, 0.0, 0.0)),
            Record("3", text=None, embedding=(0.0, 0.0, 1.0)),
            Record("4", text="bare"),
        ]
    )
    merge(store, 1, table)
    kept = store.write(lambda c: vectors.take_from_snapshot(c, SPACE, table))

    assert kept == 2
    assert waiting(store) == ["bare"]


def test_of_a_long_text_only_the_beginning_is_looked_up(store: Store, rows: Rows) -> None:
    merge(store, 1, rows([Record("1", text="word " * 100_000)]))

    assert len(waiting(store)[0]) == vectors.EMBEDDED_CHARS
