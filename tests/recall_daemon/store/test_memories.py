"""The feed that indexes follow: in order, bounded in rows and bytes, and complete."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from recall_daemon.store import memories
from recall_daemon.store.ledger import Place
from recall_daemon.store.merge import merge_rows
from recall_daemon.store.store import Store
from recall_wire.records import Record

NOW = datetime(2026, 1, 2, tzinfo=UTC)
Rows = Callable[[Sequence[Record]], pa.Table]


def merge(store: Store, seq: int, table: pa.Table) -> None:
    store.write(lambda connection: merge_rows(connection, Place("a", seq), table, NOW))


def batches(store: Store, limit: int) -> list[list[str]]:
    found, after = [], 0
    with store.read() as connection:
        while (table := memories.row_changes(connection, after, limit)).num_rows:
            found.append(table["memory_id"].to_pylist())
            after = table["change_no"][-1].as_py()
    return found


def test_changes_come_in_order_and_in_bounded_batches(
    store: Store, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["x" * 10, "x" * 10, "x" * 500, None, "x" * 10, "x" * 10, "x" * 10]
    merge(store, 1, rows([Record(str(n), text=text) for n, text in enumerate(texts)]))
    assert batches(store, 3) == [["0", "1", "2"], ["3", "4", "5"], ["6"]]

    monkeypatch.setattr(memories, "FEED_BYTES", 25)
    assert batches(store, 100) == [["0", "1"], ["2"], ["3", "4", "5"], ["6"]]


def test_a_deleted_row_is_fed_as_gone(store: Store, rows: Rows) -> None:
    merge(store, 1, rows([Record("m", text="one")]))
    merge(store, 2, rows([Record("m", op="delete")]))
    with store.read() as connection:
        table = memories.row_changes(connection, 0, 10)
        assert memories.by_row_ids(connection, [1]) == {}
    assert table.select(["row_id", "live", "text"]).to_pylist() == [
        {"row_id": 1, "live": False, "text": None}
    ]


def test_live_rows_are_fed_by_their_ids(store: Store, rows: Rows) -> None:
    merge(store, 1, rows([Record(str(n), text=f"text {n}", tags=("t",)) for n in range(4)]))
    merge(store, 2, rows([Record("1", op="delete")]))
    with store.read() as connection:
        changes = memories.row_changes(connection, 0, 10)
        found = memories.rows_now(connection, [1, 2, 4, 99])
        assert memories.rows_now(connection, []).num_rows == 0
    expected = [row for row in changes.to_pylist() if row["row_id"] in (1, 4)]
    assert (found.sort_by("row_id").to_pylist(), found.schema) == (expected, changes.schema)


@pytest.mark.parametrize("asked", [[1, 99], list(range(200))])
def test_a_row_comes_with_all_it_is_shown_with(store: Store, rows: Rows, asked: list[int]) -> None:
    merge(store, 7, rows([Record("m", text="one", tags=("t",), created_at=NOW)]))
    with store.read() as connection:
        row = memories.by_row_ids(connection, asked)[1]
        assert row.change_no == memories.last_change(connection)
    assert (row.memory_id, row.text) == ("m", "one")
    assert (row.seq, row.tier) == (7, "hot")


def test_a_row_is_named_by_its_id_alone_or_behind_its_system(store: Store, rows: Rows) -> None:
    for system_id in ("a", "b"):
        table = rows([Record("m"), Record("x/m"), Record("a/m")])
        place = Place(system_id, 1)
        store.write(lambda c, place=place, table=table: merge_rows(c, place, table, NOW))
    with store.read() as connection:

        def found(*ids: str) -> list[int]:
            return memories.find_ids(connection, ids)

        assert found("m") == [1, 4]
        assert found("b/m", "b/x/m") == [4, 5]
        assert found("a/m") == [1, 3, 6]
        assert found("x/m", "c/m", "/m", "b/") == [2, 5]
