"""A few rows at a time give what whole tables give, row for row."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from recall_daemon.store import vanished
from recall_daemon.store.content_hash import content_hash
from recall_daemon.store.ledger import Place
from recall_daemon.store.merge import CONTENT_HASH_SQL, merge_rows
from recall_daemon.store.merge_few import Batch, apply, known, planned
from recall_daemon.store.store import Connection, Store, take_numbers
from recall_wire.records import Record, text_hash, to_batch

EXAMPLES = 1_000 if os.environ.get("RECALLD_TEST_SOAK") else 12
NOW = datetime(2026, 1, 1, tzinfo=UTC)

texts = st.text(st.characters(codec="utf-8"), max_size=6)
times = st.none() | st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
records = st.builds(
    Record,
    memory_id=st.sampled_from("abc"),
    kind=st.sampled_from(["note", "insight"]),
    text=st.none() | st.sampled_from(["one", "two"]) | texts,
    created_at=times,
    project=st.none() | texts,
    tags=st.sampled_from([(), ("x",), ("x", 'y"\\\x01é')]),
    importance=st.none() | st.floats(0, 1, width=32) | st.sampled_from([0.1, 0.7]),
    metadata=st.sampled_from(["{}", '{"a":"\\u0000\\n/é🚀"}']),
)
# Often the very same content again, or with other tags alone.
few = st.builds(
    Record,
    memory_id=st.sampled_from("abc"),
    text=st.sampled_from(["one", "two"]),
    tags=st.sampled_from([(), ("x",)]),
)
gone = st.builds(Record, memory_id=st.sampled_from("abc"), op=st.sampled_from(["delete", "forget"]))
steps = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.lists(few | records, max_size=4) | st.lists(gone, min_size=1, max_size=1),
    ),
    min_size=1,
    max_size=6,
)


def table(rows: Sequence[Record]) -> pa.Table:
    hashes = pa.array([text_hash(row.text) for row in rows], pa.string())
    numbers = pa.array(range(len(rows)), pa.int64())
    whole = pa.Table.from_batches([to_batch(rows)])
    return whole.append_column("row_no", numbers).append_column("text_hash", hashes)


def as_tables(connection: Connection, place: Place, rows: Sequence[Record], now: datetime) -> None:
    merge_rows(connection, place, table(rows), now)


def merge_batches(connection: Connection, batches: Sequence[Batch], now: datetime) -> None:
    plan = planned(batches, known(connection, batches))
    numbers = take_numbers(connection, {"row_id": plan.new, "change_no": plan.changes})
    apply(connection, plan, numbers["row_id"], numbers["change_no"], now)


def as_few(connection: Connection, place: Place, rows: Sequence[Record], now: datetime) -> None:
    if any(row.op != "upsert" for row in rows):
        as_tables(connection, place, rows, now)
    elif rows:
        merge_batches(connection, [Batch(place, 0, tuple(rows))], now)
        vanished.drop(connection)


def done(
    store: Store,
    work: Sequence[tuple[int, list[Record]]],
    merge: Callable[[Connection, Place, Sequence[Record], datetime], None],
) -> list[object]:
    """Every column of every row, each text's vectors, and the counters."""

    def write(connection: Connection) -> list[object]:
        for name in ("memories", "passages"):
            connection.execute(f"DELETE FROM {name}")
        connection.execute("UPDATE counters SET value = 0")
        connection.execute(
            "INSERT INTO passages SELECT 's', ?, 0, 1, 0, 3, 1, [1.0], NULL, NULL",
            [text_hash("one")],
        )
        for number, (seq, rows) in enumerate(work):
            merge(connection, Place("sys", seq, 1), rows, NOW + timedelta(days=number))
        return [
            connection.execute("SELECT * FROM memories ORDER BY memory_id").fetchall(),
            connection.execute("SELECT text_hash FROM passages").fetchall(),
            connection.execute("SELECT name, value FROM counters ORDER BY name").fetchall(),
        ]

    return store.write(write)


@settings(max_examples=100, deadline=None, database=None)
@given(records)
def test_a_content_has_one_hash_however_it_is_made(record: Record) -> None:
    with duckdb.connect() as connection:
        connection.register("rows", pa.Table.from_batches([to_batch([record])]))
        found = connection.execute(f"SELECT {CONTENT_HASH_SQL} FROM rows").fetchall()
    assert found == [(content_hash(record),)]


def test_every_character_is_hashed_as_the_store_does() -> None:
    odd = "".join(map(chr, [*range(0x100), 0x2028, 0x2029, 0xFEFF, 0xFFFF, 0x1F680]))
    test_a_content_has_one_hash_however_it_is_made.hypothesis.inner_test(
        Record("m", text=odd, tags=(odd, ""), metadata=odd, importance=0.0000005)
    )


def test_few_are_merged_as_tables_are(tmp_path: Path) -> None:
    stores = [Store(tmp_path / name) for name in ("tables", "few")]

    one, two = Record("a", text="one"), Record("a", text="two")
    tagged, forget = Record("a", text="one", tags=("x",)), Record("a", op="forget")
    delete, other = Record("a", op="delete"), Record("b", text="one")

    @settings(max_examples=EXAMPLES, deadline=None, database=None)
    @given(steps)
    @example([(0, [one, other]), (1, [other, one]), (0, [two])])
    @example([(0, [one]), (1, [tagged]), (2, [one]), (1, [two, one])])
    @example([(0, [one]), (1, [forget]), (2, [one])])
    @example([(0, [one]), (1, [delete]), (2, [one]), (3, [two])])
    @example([(0, [one, other]), (1, [two]), (2, [Record("b", text="two")])])
    def compare(work: list[tuple[int, list[Record]]]) -> None:
        assert done(stores[1], work, as_few) == done(stores[0], work, as_tables)

    try:
        compare()
    finally:
        for store in stores:
            store.close()
