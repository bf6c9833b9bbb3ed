"""Merging rows without vectors, beside what one would write by hand; prints JSON.

Both sides write the same real texts into a DuckDB file on disk, 50,000 rows a transaction, and both
must end with the newest version of each row. Ours: the hub's own merge, ledger entry included. By
hand: `INSERT … ON CONFLICT DO UPDATE` from Arrow into a table with the same columns and key. Row by
row: the same statement with parameters, one transaction, as a first version of a hub would do it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from recall_daemon.store import ledger
from recall_daemon.store.ledger import Entry, Place
from recall_daemon.store.merge import merge_rows
from recall_daemon.store.store import Store
from recall_wire.records import RECORD_SCHEMA, Record, text_hash, to_batch
from texts import real_texts

CHUNK_ROWS = 50_000
SINGLE_ROWS = 2_000
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=4, help="50,000 rows each")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    tables = [chunk(number) for number in range(arguments.chunks)]
    sides: dict[str, Callable[[list[pa.Table], Path], float]] = {
        "hub": hub,
        "by_hand": by_hand,
        "row_by_row": row_by_row,
    }
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(arguments.rounds):
        for name, side in sides.items():
            with tempfile.TemporaryDirectory() as folder:
                rates[name].append(side(tables, Path(folder)))
    median = {name: statistics.median(values) for name, values in rates.items()}
    print(
        json.dumps(
            {
                "benchmark": "merge",
                "rows": CHUNK_ROWS * arguments.chunks,
                "rounds": arguments.rounds,
                "rows_per_s": {name: round(rate) for name, rate in median.items()},
                "hub_to_by_hand": round(median["hub"] / median["by_hand"], 2),
                "hub_to_row_by_row": round(median["hub"] / median["row_by_row"], 1),
                "budget_rows_per_s": 20_000,
                "within_budget": median["hub"] >= 20_000,
            }
        )
    )


def chunk(number: int) -> pa.Table:
    """50,000 rows of one system: real texts, each made distinct by its number."""
    texts = real_texts(5_000, seed=number)
    records = [
        Record(
            memory_id=f"{number}-{row}",
            kind="conversation",
            text=f"{texts[row % len(texts)]} ({row})",
            created_at=NOW,
            updated_at=NOW,
            project=f"project-{row % 20}",
            session_id=f"session-{row // 50}",
            tags=("bench",),
            importance=0.5,
            metadata='{"model":"bench"}',
        )
        for row in range(CHUNK_ROWS)
    ]
    table = pa.Table.from_batches([to_batch(records)])
    return table.append_column("row_no", pa.array(range(len(records)), pa.int64())).append_column(
        "text_hash", pa.array([text_hash(record.text) for record in records], pa.string())
    )


def hub(tables: list[pa.Table], folder: Path) -> float:
    """Rows a second through the hub's merge, rows and ledger in one transaction."""
    store = Store(folder)
    started = time.perf_counter()
    for seq, table in enumerate(tables, start=1):
        store.write(lambda connection, t=table, s=seq: _merge(connection, s, t))  # type: ignore[misc]
    elapsed = time.perf_counter() - started
    store.close()
    return sum(table.num_rows for table in tables) / elapsed


def _merge(connection: ledger.Connection, seq: int, table: pa.Table) -> None:
    place = Place("bench", seq)
    ledger.see_system(connection, "bench", NOW)
    merge_rows(connection, place, table, NOW)
    entry = Entry(place, "bucket", "key", "merged", NOW, rows=table.num_rows)
    ledger.record(connection, entry)


def by_hand(tables: list[pa.Table], folder: Path) -> float:
    connection = _hand_made(folder)
    started = time.perf_counter()
    for table in tables:
        connection.register("incoming", table)
        connection.execute("BEGIN")
        connection.execute(f"INSERT INTO memories SELECT * FROM incoming {_ON_CONFLICT}")
        connection.execute("COMMIT")
        connection.unregister("incoming")
    elapsed = time.perf_counter() - started
    connection.close()
    return sum(table.num_rows for table in tables) / elapsed


def row_by_row(tables: list[pa.Table], folder: Path) -> float:
    connection = _hand_made(folder)
    rows = [tuple(row.values()) for row in tables[0].slice(0, SINGLE_ROWS).to_pylist()]
    holes = ", ".join("?" * len(rows[0]))
    started = time.perf_counter()
    connection.execute("BEGIN")
    for row in rows:
        connection.execute(f"INSERT INTO memories VALUES ({holes}) {_ON_CONFLICT}", row)
    connection.execute("COMMIT")
    elapsed = time.perf_counter() - started
    connection.close()
    return len(rows) / elapsed


_ON_CONFLICT = "ON CONFLICT (memory_id) DO UPDATE SET " + ", ".join(
    f"{name} = excluded.{name}" for name in RECORD_SCHEMA.names if name != "memory_id"
)


def _hand_made(folder: Path) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:", config={"threads": 2})
    connection.execute(f"ATTACH '{folder / 'hand.duckdb'}' AS hand")
    connection.execute("USE hand")
    connection.execute("SET TimeZone = 'UTC'")
    types = {"tags": "VARCHAR[]", "embedding": "FLOAT[]", "importance": "FLOAT"}
    types |= {"created_at": "TIMESTAMPTZ", "updated_at": "TIMESTAMPTZ", "row_no": "BIGINT"}
    names = [*RECORD_SCHEMA.names, "row_no", "text_hash"]
    columns = ", ".join(f"{name} {types.get(name, 'VARCHAR')}" for name in names)
    connection.execute(f"CREATE TABLE memories ({columns}, PRIMARY KEY (memory_id))")
    return connection


if __name__ == "__main__":
    main()
