"""The store's file written anew: the same rows, no byte of what was deleted, nobody disturbed."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from recall_daemon.errors import StoreFailed
from recall_daemon.store import aside, audit
from recall_daemon.store import store as store_module
from recall_daemon.store.ledger import Place
from recall_daemon.store.merge import merge_rows
from recall_daemon.store.store import FILE_NAME, Store
from recall_wire.records import Record

NOW = datetime(2026, 1, 2, tzinfo=UTC)
TOKEN = b"ZQXUNIQUETOKEN"
Rows = Callable[[Sequence[Record]], pa.Table]


def noise(number: int) -> str:
    """Text that no compression shortens, and that holds the token."""
    letters = random.Random(number).choices("abcdefghijklmnopqrstuvwxyz0123456789 ", k=400)
    return "".join(letters) + f" {TOKEN.decode()} {number}"


def merge(store: Store, seq: int, table: pa.Table) -> None:
    store.write(lambda connection: merge_rows(connection, Place("a", seq), table, NOW))


def checkpoint(store: Store) -> None:
    store._writer.run(lambda connection: connection.execute("CHECKPOINT store"), outside=True)


def forgotten(store: Store, rows: Rows) -> None:
    """A store that held the token in two versions of each row, and holds it no more."""
    merge(store, 1, rows([Record(f"m{n}", text=noise(n), tags=("t",)) for n in range(300)]))
    checkpoint(store)
    assert holds_token(store.path.parent) == [FILE_NAME]  # no compression hides it
    merge(store, 2, rows([Record(f"m{n}", text=noise(1_000 + n)) for n in range(300)]))
    checkpoint(store)
    merge(store, 3, rows([Record(f"m{n}", op="forget") for n in range(300)]))
    merge(store, 4, rows([Record(f"k{n}", text=f"kept {n}") for n in range(50)]))
    checkpoint(store)


def holds_token(folder: Path) -> list[str]:
    return [p.name for p in folder.rglob("*") if p.is_file() and TOKEN in p.read_bytes()]


def test_what_was_deleted_is_in_no_file_any_more(store: Store, rows: Rows) -> None:
    forgotten(store, rows)
    with store.read() as connection:
        before = audit.logical_hash(connection)

    store.rewrite()

    assert holds_token(store.path.parent) == []
    with store.read() as connection:
        assert audit.logical_hash(connection) == before
    merge(store, 5, rows([Record("later", text="written after")]))
    store.close()
    again = Store(store.path.parent)
    with again.read() as connection:
        assert connection.execute("SELECT count(*) FROM memories").fetchall() == [(351,)]
        tables = connection.execute("SELECT count(*) FROM duckdb_constraints()").fetchall()
    again.close()
    fresh = Store(store.path.parent / "empty")
    with fresh.read() as connection:
        assert connection.execute("SELECT count(*) FROM duckdb_constraints()").fetchall() == tables
    fresh.close()


def test_readers_and_writers_go_on_meanwhile(store: Store, rows: Rows) -> None:
    merge(store, 1, rows([Record(f"m{n}", text=f"text {n}") for n in range(500)]))
    stop, failures, counts = threading.Event(), [], []

    def read() -> None:
        while not stop.is_set():
            try:
                with store.read() as connection:
                    counts.append(connection.execute("SELECT count(*) FROM memories").fetchall())
            except Exception as error:
                failures.append(error)

    def write() -> None:
        for number in range(20):
            try:
                merge(store, 2 + number, rows([Record(f"n{number}", text="more")]))
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=target) for target in (read, read, write)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        store.rewrite()
    threads[2].join()
    store.rewrite()
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert counts
    with store.read() as connection:
        assert connection.execute("SELECT count(*) FROM memories").fetchall() == [(520,)]


def test_a_reader_that_does_not_end_holds_it_up_and_nothing_else(
    store: Store, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    merge(store, 1, rows([Record("m", text="text")]))
    monkeypatch.setattr(store_module, "SWAP_WAIT_S", 0.1)
    monkeypatch.setattr(store_module, "HOLD_S", 0.05)
    with store.read() as connection:
        with pytest.raises(StoreFailed, match="is being read"):
            store.rewrite()
        assert connection.execute("SELECT count(*) FROM memories").fetchall() == [(1,)]
    assert {path.name for path in store.path.parent.iterdir()} <= {FILE_NAME, FILE_NAME + ".wal"}
    store.rewrite()


@pytest.mark.parametrize("step", ["replace", "sync"])
def test_a_failure_at_the_swap_leaves_a_store_that_works(
    store: Store, rows: Rows, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    forgotten(store, rows)

    def fail(*_: object) -> None:
        raise OSError("no")

    with monkeypatch.context() as patch:
        if step == "replace":
            patch.setattr(Path, "replace", fail)
        else:
            patch.setattr(aside, "_sync", fail)
        with pytest.raises(OSError, match="no"):
            store.rewrite()
    merge(store, 6, rows([Record("later", text="written after")]))
    store.rewrite()
    assert holds_token(store.path.parent) == []


def test_what_a_crash_left_beside_goes_at_the_next_start(store: Store) -> None:
    store.close()
    left = store.path.with_name(FILE_NAME + ".new")
    with duckdb.connect(str(left)) as connection:
        connection.execute("CREATE TABLE half AS SELECT 1")
    again = Store(store.path.parent)
    assert not left.exists()
    again.close()
