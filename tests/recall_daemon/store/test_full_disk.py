"""A disk that is full for some time: nothing is lost, and reading goes on.

The kernel refuses to let a file grow, as it does on a full disk, by a limit on the size of files.
"""

from __future__ import annotations

import os
import resource
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from structlog.testing import capture_logs

from recall_daemon.errors import DiskFull, StoreFailed
from recall_daemon.store import audit, ledger
from recall_daemon.store.copy import copy_store
from recall_daemon.store.ledger import Entry, Place
from recall_daemon.store.merge import merge_rows
from recall_daemon.store.store import Connection, Store
from recall_wire.records import Record

NOW = datetime(2026, 1, 2, tzinfo=UTC)
Rows = Callable[[Sequence[Record]], pa.Table]
MIB = 1 << 20


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))


@pytest.fixture
def merge(store: Store, rows: Rows) -> Callable[[int], None]:
    """`merge(n)`: a megabyte that does not compress, as snapshot n."""

    def merged(seq: int) -> None:
        table = rows([Record(f"m{seq}-{n}", text=os.urandom(1_000).hex()) for n in range(500)])
        place = Place("a", seq)
        entry = Entry(place, "bucket", "", "merged", NOW, rows=500, rows_done=500)

        def work(connection: Connection) -> None:
            ledger.see_system(connection, "a", NOW)
            merge_rows(connection, place, table, NOW)
            ledger.record(connection, entry)

        store.write(work)

    return merged


def content(store: Store) -> tuple[int, str]:
    """Live rows and logical hash of a store that agrees with itself."""
    with store.read() as connection:
        assert audit.problems(connection) == []
        rows = connection.execute("SELECT count(*) FROM memories WHERE state = 'live'").fetchall()
        return int(rows[0][0]), audit.logical_hash(connection)


def checkpoint(store: Store) -> bool:
    return store._writer.run(lambda _: store._writer._checkpoint(), outside=True)


def reopened(store: Store) -> tuple[int, str]:
    """What is there after the process is gone."""
    store.close()
    again = Store(store.path.parent)
    try:
        return content(again)
    finally:
        again.close()


def test_a_merge_that_does_not_fit_leaves_all_that_was_there(
    store: Store, merge: Callable[[int], None]
) -> None:
    merge(1)
    before = content(store)
    with no_file_above(2 * MIB):
        for seq in (2, 3):
            with pytest.raises(DiskFull, match="make room"):
                merge(seq)
            assert content(store) == before
    merge(2)
    assert content(store)[0] == 1_000
    assert reopened(store)[0] == 1_000


def test_a_checkpoint_that_fails_half_way_is_survived_by_the_open_store(
    store: Store, merge: Callable[[int], None]
) -> None:
    for seq in range(1, 7):
        merge(seq)
    before = content(store)
    with no_file_above(3 * MIB), capture_logs() as logs:
        assert not checkpoint(store)
        assert content(store) == before
    assert [line["event"] for line in logs] == ["store.not_checkpointed"]
    merge(7)
    assert checkpoint(store)
    assert content(store)[0] == 3_500
    assert reopened(store)[0] == 3_500


def test_readers_meanwhile_get_an_answer_or_are_told_to_try_again(
    store: Store, merge: Callable[[int], None]
) -> None:
    for seq in range(1, 7):
        merge(seq)
    failures: list[BaseException] = []
    refused: list[str] = []
    done, begun = threading.Event(), threading.Event()

    def read() -> None:
        while not done.is_set():
            begun.set()
            try:
                assert content(store)[0] == 3_000
            except StoreFailed as error:
                refused.append(str(error))
            except BaseException as error:
                failures.append(error)
                return

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    begun.wait(10)
    with no_file_above(3 * MIB):
        for _ in range(3):
            checkpoint(store)
    done.set()
    for reader in readers:
        reader.join(30)
    assert failures == []
    assert all("try again" in sentence for sentence in refused)
    assert content(store)[0] == 3_000


def test_without_room_for_a_checkpoint_none_is_begun(
    store: Store, merge: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    merge(1)
    before = content(store)
    usage = shutil.disk_usage(store.path.parent)
    with monkeypatch.context() as patched, capture_logs() as logs:
        patched.setattr(shutil, "disk_usage", lambda path: usage._replace(free=MIB))
        size = store.path.stat().st_size
        assert not checkpoint(store)
        assert "1048576 are free" in logs[0]["error"]
        merge(2)
        store.close()
        assert store.path.stat().st_size == size
    again = Store(store.path.parent)
    assert content(again)[0] == 2 * before[0]
    again.close()


def test_a_copy_that_does_not_fit_says_so_and_hurts_nothing(
    store: Store, merge: Callable[[int], None], tmp_path: Path
) -> None:
    for seq in range(1, 5):
        merge(seq)
    assert checkpoint(store)
    before = content(store)
    with no_file_above(2 * MIB), pytest.raises(DiskFull):
        copy_store(store, tmp_path / "copy.duckdb")
    assert content(store) == before
    assert copy_store(store, tmp_path / "another.duckdb").rows == before[0]


def test_a_store_is_opened_without_room(
    store: Store, merge: Callable[[int], None], tmp_path: Path
) -> None:
    for seq in range(1, 4):
        merge(seq)
    with no_file_above(MIB), capture_logs():
        store.close()
        again = Store(store.path.parent)
        assert content(again)[0] == 1_500
        again.close()


def test_a_rewrite_that_does_not_fit_leaves_the_file_as_it_was(
    store: Store, merge: Callable[[int], None]
) -> None:
    for seq in range(1, 5):
        merge(seq)
    assert checkpoint(store)
    before = content(store)
    with no_file_above(2 * MIB), pytest.raises(DiskFull):
        store.rewrite()
    assert [path.name for path in _files(store)] == ["store.duckdb"]
    assert content(store) == before
    store.rewrite()
    assert content(store) == before


def test_a_rewrite_without_room_is_not_begun(
    store: Store, merge: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    merge(1)
    usage = shutil.disk_usage(store.path.parent)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda path: usage._replace(free=MIB // 2))
        with pytest.raises(DiskFull, match="524288 are free"):
            store.rewrite()
    assert content(store)[0] == 500


def _files(store: Store) -> list[Any]:
    return [path for path in store.path.parent.iterdir() if path.name.startswith("store")]
