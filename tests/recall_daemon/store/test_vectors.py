"""One vector per distinct text and space; the backlog is what is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from recall_daemon.store import vectors
from recall_daemon.store.ledger import Place
from recall_daemon.store.merge import merge_rows
from recall_daemon.store.store import Store
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


def test_vectors_are_fed_in_the_order_of_their_numbers_and_kept_once(store: Store) -> None:
    first = np.array([[1, 0, 0], [0, 1, 0]], dtype=np.float32)
    store.write(lambda c: vectors.put(c, SPACE, ["h1", "h2"], first))
    store.write(lambda c: vectors.put(c, SPACE, ["h2", "h3"], first * 2))

    with store.read() as connection:
        fed = vectors.changes(connection, SPACE, 0, 10)
        later = vectors.changes(connection, SPACE, fed["change_no"][1].as_py(), 10)
        assert vectors.changes(connection, "other@r:3", 0, 10).num_rows == 0
    assert fed["text_hash"].to_pylist() == ["h1", "h2", "h3"]
    assert fed["vector"].to_pylist() == [[1, 0, 0], [0, 1, 0], [0, 2, 0]]
    assert later["text_hash"].to_pylist() == ["h3"]


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
