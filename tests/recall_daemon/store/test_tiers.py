"""Moves touch a row only where it still is what was read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from recall_daemon.store import cold_files, tiers
from recall_daemon.store.cold_files import ColdFile
from recall_daemon.store.ledger import Place
from recall_daemon.store.merge import merge_rows
from recall_daemon.store.store import Store
from recall_wire.records import Record

NOW = datetime(2026, 1, 2, tzinfo=UTC)
Rows = Callable[[Sequence[Record]], pa.Table]


def file(number: int, rows: int = 3) -> ColdFile:
    return ColdFile(number, f"hub/h/cold/{number}", "ab", 100, rows, b"f", b"d", NOW)


def sql(store: Store, statement: str) -> list[tuple[Any, ...]]:
    with store.read() as connection:
        return connection.execute(statement).fetchall()


def batch(store: Store, **columns: list[Any]) -> pa.Table:
    """row_id, content_hash and text_hash of every row, with more columns or others."""
    with store.read() as connection:
        table = connection.sql(
            "SELECT row_id, content_hash, text_hash FROM memories ORDER BY row_id"
        ).to_arrow_table()
    for name, values in columns.items():
        if name in table.column_names:
            table = table.drop_columns(name)
        table = table.append_column(name, pa.array(values))
    return table


@pytest.fixture
def three(store: Store, rows: Rows) -> Store:
    """Three hot rows with row ids 1 to 3."""
    table = rows([Record(f"m{n}", text=f"text {n}") for n in range(3)])
    store.write(lambda c: merge_rows(c, Place("a", 1), table, NOW))
    return store


@pytest.fixture
def warm(three: Store) -> Store:
    summaries = batch(three, summary=["s0", "s1", "s2"])
    assert three.write(lambda c: tiers.make_warm(c, summaries)) == 3
    return three


@pytest.fixture
def cold(warm: Store) -> Store:
    moved = batch(warm, summary=["x"] * 3, cold_row=[0, 1, 2])
    assert warm.write(lambda c: cold_files.make_cold(c, file(1), moved)) == 3
    return warm


def test_only_unchanged_hot_rows_turn_warm(three: Store) -> None:
    three.write(
        lambda c: c.execute("UPDATE memories SET tier = 'cold' WHERE row_id = 2").fetchall()
    )
    hashes = batch(three)["content_hash"].to_pylist()
    rows = batch(three, content_hash=["another", *hashes[1:]], summary=["s"] * 3)
    assert three.write(lambda c: tiers.make_warm(c, rows)) == 1
    assert sql(three, "SELECT tier FROM memories ORDER BY row_id") == [
        ("hot",),
        ("cold",),
        ("warm",),
    ]


def test_only_unchanged_warm_rows_turn_cold(warm: Store) -> None:
    warm.write(lambda c: c.execute("UPDATE memories SET tier = 'hot' WHERE row_id = 2").fetchall())
    hashes = batch(warm)["content_hash"].to_pylist()
    moved = batch(
        warm, content_hash=["another", *hashes[1:]], summary=["x"] * 3, cold_row=[0, 1, 2]
    )
    assert warm.write(lambda c: cold_files.make_cold(c, file(1), moved)) == 1
    assert sql(warm, "SELECT tier, text, summary, cold_row FROM memories ORDER BY row_id") == [
        ("warm", "text 0", "s0", None),
        ("hot", "text 1", "s1", None),
        ("cold", None, "s2", 2),
    ]


def test_only_rows_that_point_to_the_old_place_are_repointed(cold: Store) -> None:
    moved = batch(cold, old_file=[1, 1, 7], old_row=[0, 9, 2], cold_row=[5, 6, 7])
    assert cold.write(lambda c: cold_files.repoint(c, file(2), moved, [1], NOW)) == 1
    places = "SELECT cold_file, cold_row FROM memories ORDER BY row_id"
    assert sql(cold, places) == [(2, 5), (1, 1), (1, 2)]
    # Rows still need the old file, so it is not retired.
    assert sql(cold, "SELECT count(*) FROM cold_files WHERE retired_at IS NOT NULL") == [(0,)]


def test_a_file_is_retired_once_no_row_needs_it_and_removed_only_then(cold: Store) -> None:
    assert cold.write(lambda c: cold_files.retire(c, [1], NOW)) == 0
    cold.write(lambda c: cold_files.remove(c, 1))
    moved = batch(cold, old_file=[1] * 3, old_row=[0, 1, 2], cold_row=[0, 1, 2])
    assert cold.write(lambda c: cold_files.repoint(c, file(2), moved, [1], NOW)) == 3
    with cold.read() as connection:
        [old] = cold_files.retired(connection, NOW)
        assert cold_files.keys(connection) == {"hub/h/cold/1", "hub/h/cold/2"}
    assert old.file_no == 1
    cold.write(lambda c: cold_files.remove(c, 1))
    with cold.read() as connection:
        assert cold_files.keys(connection) == {"hub/h/cold/2"}


def test_a_file_is_registered_once(cold: Store) -> None:
    moved = batch(cold, summary=["x"] * 3, cold_row=[0, 1, 2])
    with pytest.raises(Exception, match="cannot hold"):
        cold.write(lambda c: cold_files.make_cold(c, file(1), moved))


def test_usage_counts_the_rows_that_need_a_file(cold: Store, rows: Rows) -> None:
    table = rows([Record("m0", op="delete"), Record("m1", text="changed")])
    cold.write(lambda c: merge_rows(c, Place("a", 2), table, NOW))
    with cold.read() as connection:
        [used] = cold_files.usage(connection)
        assert (used.rows, used.live) == (3, 1)
        assert cold_files.pointing(connection, 1)["cold_row"].to_pylist() == [2]
        assert [p.row for p in cold_files.places(connection, [1, 2, 3])] == [2]
        assert cold_files.sample(connection, 10) == [3]


def test_a_text_and_its_metadata_are_confirmed_by_the_rows_hash(cold: Store) -> None:
    fetched = pa.table(
        {
            "row_id": [1, 2, 3],
            "text": ["text 0", "text 0", "text 2"],
            "metadata": ["{}", "{}", '{"k": 1}'],
        }
    )
    with cold.read() as connection:
        assert cold_files.confirmed(connection, fetched) == {1}
