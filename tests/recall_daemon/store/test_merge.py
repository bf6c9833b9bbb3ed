"""Within a system the higher (place, row) wins, in whatever order things arrive."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recall_daemon.store import audit, ledger
from recall_daemon.store.ledger import Entry, Place
from recall_daemon.store.merge import Merged, merge_rows
from recall_daemon.store.store import Store
from recall_wire.records import Record

SOAK = "RECALLD_TEST_SOAK" in os.environ
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
Rows = Callable[[Sequence[Record]], pa.Table]


def merge(store: Store, place: Place, table: pa.Table) -> Merged:
    def work(connection: ledger.Connection) -> Merged:
        ledger.see_system(connection, place.system_id, NOW)
        ledger.record(connection, Entry(place, "bucket", "k", "merged", NOW, rows_done=9**9))
        return merge_rows(connection, place, table, NOW)

    return store.write(work)


def contents(store: Store) -> dict[str, tuple[str, str | None]]:
    with store.read() as connection:
        found = connection.execute("SELECT memory_id, state, text FROM memories").fetchall()
    return {memory_id: (state, text) for memory_id, state, text in found}


def logical_hash(store: Store) -> str:
    with store.read() as connection:
        assert audit.problems(connection) == []
        return audit.logical_hash(connection)


def test_every_field_of_a_record_is_kept(store: Store, rows: Rows) -> None:
    record = Record(
        memory_id="m",
        kind="insight",
        text="naïve\x00 text 🙂",
        created_at=datetime(2025, 5, 6, 7, 8, 9, 123456, tzinfo=UTC),
        updated_at=NOW,
        project="p",
        namespace="n",
        session_id="s",
        agent_id="a",
        user_id="u",
        tags=("x", "y"),
        importance=0.25,
        parent_id="parent",
        metadata='{"k":[1]}',
        base_version="v0",
    )
    merge(store, Place("a", 1), rows([record]))

    with store.read() as connection:
        found = connection.execute(
            "SELECT memory_id, kind, text, created_at, updated_at, project, namespace, session_id, "
            "agent_id, user_id, tags, importance, parent_id, metadata, base_version FROM memories"
        ).fetchall()
    names = "memory_id kind text created_at updated_at project namespace session_id agent_id "
    names += "user_id tags importance parent_id metadata base_version"
    got = dict(zip(names.split(), found[0], strict=True))
    assert got == {name: getattr(record, name) for name in got} | {"tags": ["x", "y"]}


def test_the_highest_row_of_a_repeated_id_wins(store: Store, rows: Rows) -> None:
    merge(store, Place("a", 1), rows([Record("m", text="first"), Record("m", text="last")]))

    assert contents(store) == {"m": ("live", "last")}


def test_the_same_snapshot_again_writes_no_row(store: Store, rows: Rows) -> None:
    table = rows([Record("m", text="one"), Record("n", op="delete"), Record("o", op="forget")])
    first = merge(store, Place("a", 1), table)
    again = merge(store, Place("a", 1), table)

    assert (first, again) == (Merged(3, 0, ("o",)), Merged(0, 0))


def test_the_same_content_from_a_higher_place_moves_only_the_place(
    store: Store, rows: Rows
) -> None:
    merge(store, Place("a", 1), rows([Record("m", text="same")]))
    moved = merge(store, Place("a", 3), rows([Record("m", text="same")]))
    late = merge(store, Place("a", 2), rows([Record("m", text="between")]))

    assert (moved, late) == (Merged(0, 1), Merged(0, 0))
    assert contents(store) == {"m": ("live", "same")}


def test_a_delete_purges_the_text_and_a_higher_upsert_revives(store: Store, rows: Rows) -> None:
    merge(store, Place("a", 1), rows([Record("m", text="one", metadata='{"secret":1}')]))
    merge(store, Place("a", 2), rows([Record("m", op="delete")]))
    assert contents(store) == {"m": ("deleted", None)}
    with store.read() as connection:
        assert connection.execute("SELECT metadata, kind FROM memories").fetchall() == [
            (None, None)
        ]

    merge(store, Place("a", 3), rows([Record("m", text="two")]))
    assert contents(store) == {"m": ("live", "two")}


def test_a_delete_that_overtakes_its_upsert_still_wins(store: Store, rows: Rows) -> None:
    merge(store, Place("a", 2), rows([Record("m", op="delete")]))
    merge(store, Place("a", 1), rows([Record("m", text="one")]))

    assert contents(store) == {"m": ("deleted", None)}


@pytest.mark.parametrize("forget_at", [1, 5])
def test_a_forgotten_memory_never_comes_back(store: Store, rows: Rows, forget_at: int) -> None:
    merge(store, Place("a", 2), rows([Record("m", text="one")]))
    merge(store, Place("a", forget_at), rows([Record("m", op="forget")]))
    merge(store, Place("a", 9), rows([Record("m", text="again")]))

    assert contents(store) == {"m": ("forgotten", None)}


def test_a_forget_wins_over_a_later_row_of_its_own_snapshot(store: Store, rows: Rows) -> None:
    merge(store, Place("a", 1), rows([Record("m", op="forget"), Record("m", text="no")]))

    assert contents(store) == {"m": ("forgotten", None)}


def test_systems_do_not_touch_each_other(store: Store, rows: Rows) -> None:
    merge(store, Place("a", 1), rows([Record("m", text="of a")]))
    merge(store, Place("b", 9), rows([Record("m", op="forget")]))

    with store.read() as connection:
        found = connection.execute(
            "SELECT system_id, state, text FROM memories ORDER BY system_id"
        ).fetchall()
    assert found == [("a", "live", "of a"), ("b", "forgotten", None)]


def test_a_change_takes_a_new_number_and_keeps_its_row(store: Store, rows: Rows) -> None:
    merge(store, Place("a", 1), rows([Record("m", text="one"), Record("n", text="n")]))
    merge(store, Place("a", 2), rows([Record("m", text="two")]))

    with store.read() as connection:
        found = connection.execute(
            "SELECT memory_id, row_id, change_no FROM memories ORDER BY memory_id"
        ).fetchall()
    assert found == [("m", 1, 3), ("n", 2, 2)]


def test_a_failed_transaction_leaves_nothing(store: Store, rows: Rows) -> None:
    def work(connection: ledger.Connection) -> None:
        merge_rows(connection, Place("a", 1), rows([Record("m", text="one")]), NOW)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.write(work)

    assert contents(store) == {}
    assert merge(store, Place("a", 1), rows([Record("m", text="one")])) == Merged(1, 0)


_ops = st.lists(
    st.builds(
        Record,
        memory_id=st.sampled_from("mno"),
        text=st.sampled_from(["x", "y", None]),
        op=st.sampled_from(["upsert", "upsert", "delete", "forget"]),
    ),
    max_size=4,
)


@given(snapshots=st.lists(_ops, min_size=1, max_size=5), data=st.data())
@settings(
    max_examples=40 if SOAK else 15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_order_twice_gives_the_same_rows(
    tmp_path_factory: pytest.TempPathFactory,
    with_store: Callable[[Path], Path],
    rows: Rows,
    snapshots: list[list[Record]],
    data: st.DataObject,
) -> None:
    numbered = [(Place("a", seq), rows(ops)) for seq, ops in enumerate(snapshots, start=1)]
    shuffled = data.draw(st.permutations([*numbered, *numbered]))

    hashes = []
    for order in (numbered, shuffled):
        store = Store(with_store(tmp_path_factory.mktemp("order")))
        for place, table in order:
            merge(store, place, table)
        hashes.append(logical_hash(store))
        store.close()
    assert hashes[0] == hashes[1]
