"""Opening, the one writer, readers, and what a person is told when a file is no store."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest

from recall_daemon.errors import StoreDamaged, StoreFailed, StoreRefused, StoreTooNew
from recall_daemon.store import ledger
from recall_daemon.store.schema import MIGRATIONS
from recall_daemon.store.store import FILE_NAME, Connection, Store, next_numbers


def test_what_was_written_is_there_after_reopening(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(lambda connection: ledger.set_fact(connection, "hub_id", "h1"))
    store.close()

    store = Store(tmp_path)
    with store.read() as connection:
        assert ledger.fact(connection, "hub_id") == "h1"
    store.close()


def test_a_commit_survives_a_killed_process(tmp_path: Path) -> None:
    script = f"""
        import os, pathlib
        from recall_daemon.store import ledger
        from recall_daemon.store.store import Store
        store = Store(pathlib.Path({str(tmp_path)!r}))
        for number in range(50):
            store.write(lambda c, n=number: ledger.set_fact(c, "n", str(n)))
        os.kill(os.getpid(), 9)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert done.returncode == -9

    store = Store(tmp_path)
    with store.read() as connection:
        assert ledger.fact(connection, "n") == "49"
    store.close()


def test_a_reader_sees_only_what_is_committed(store: Store) -> None:
    def work(connection: Connection) -> str | None:
        ledger.set_fact(connection, "name", "uncommitted")
        with store.read() as other:
            return ledger.fact(other, "name")

    assert store.write(work) is None
    with store.read() as connection:
        assert ledger.fact(connection, "name") == "uncommitted"


def test_numbers_of_a_counter_are_never_given_twice(store: Store) -> None:
    first = store.write(lambda connection: next_numbers(connection, "row_id", 3))
    second = store.write(lambda connection: next_numbers(connection, "row_id", 1))

    assert (first, second) == (1, 4)


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"not a database" * 1000)

    with pytest.raises(StoreDamaged, match=r"cannot be opened.*; move the data folder away"):
        Store(tmp_path)


def test_a_truncated_store_is_named(tmp_path: Path) -> None:
    Store(tmp_path).close()
    data = (tmp_path / FILE_NAME).read_bytes()
    (tmp_path / FILE_NAME).write_bytes(data[:5000])

    with pytest.raises(StoreDamaged, match="cannot be opened"):
        Store(tmp_path)


def test_a_store_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    newer = len(MIGRATIONS) + 1
    store.write(
        lambda c: c.execute("INSERT INTO migrations VALUES (?, current_timestamp)", [newer])
    )
    store.close()

    with pytest.raises(StoreTooNew, match="start the newer recalld"):
        Store(tmp_path)


def test_errors_of_the_database_are_translated(store: Store) -> None:
    def values(connection: Connection) -> None:
        connection.execute("SELECT 'x'::INTEGER")

    def failing(connection: Connection) -> None:
        raise duckdb.TransactionException("commit failed")

    with pytest.raises(StoreRefused, match="cannot hold these values"):
        store.write(values)
    with pytest.raises(StoreFailed, match="commit failed"):
        store.write(failing)
    assert store.write(lambda connection: next_numbers(connection, "row_id", 1)) == 1


def test_there_are_no_function_defaults_in_the_schema() -> None:
    # A WAL that holds one cannot be replayed by every way of opening the file.
    assert not any(" DEFAULT " in sql.upper() for sql in MIGRATIONS)


def test_no_bar_is_drawn_where_no_file_is_run(tmp_path: Path) -> None:
    """`python -c`, and whatever forks such a process: its lines are for programs."""
    asks = (
        "import sys, pathlib\n"
        "from recall_daemon.store.store import Store\n"
        "store = Store(pathlib.Path(sys.argv[1]))\n"
        "asked = store._root.execute(\"SELECT current_setting('enable_progress_bar')\")\n"
        "print(asked.fetchall())"
    )
    command = [sys.executable, "-c", asks, str(tmp_path)]
    assert subprocess.check_output(command, text=True) == "[(False,)]\n"


def test_closing_waits_for_readers_and_then_refuses(tmp_path: Path) -> None:
    store = Store(tmp_path)
    inside, leave = threading.Event(), threading.Event()

    def read() -> None:
        with store.read() as connection:
            inside.set()
            leave.wait(10)
            connection.execute("SELECT count(*) FROM memories").fetchall()

    reader = threading.Thread(target=read)
    reader.start()
    inside.wait(10)
    closer = threading.Thread(target=store.close)
    closer.start()
    leave.set()
    closer.join(10)
    reader.join(10)

    assert not closer.is_alive()
    with pytest.raises(StoreFailed, match="is closed"), store.read():
        pass
    with pytest.raises(StoreFailed, match="is closed"):
        store.write(lambda connection: next_numbers(connection, "row_id", 1))


def test_many_threads_may_read_at_once(store: Store) -> None:
    def read() -> int:
        with store.read() as connection:
            return len(connection.execute("FROM range(5)").fetchall())

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: read(), range(400))) == {5}


def test_a_log_without_its_file_is_not_begun_anew(tmp_path: Path) -> None:
    (tmp_path / f"{FILE_NAME}.wal").write_bytes(b"what was committed")

    with pytest.raises(StoreDamaged, match="is gone, and its log is still there; move the data"):
        Store(tmp_path)
    assert (tmp_path / f"{FILE_NAME}.wal").read_bytes() == b"what was committed"


def test_a_damaged_log_is_named_and_kept(tmp_path: Path) -> None:
    script = f"""
        import os, pathlib
        from recall_daemon.store import ledger
        from recall_daemon.store.store import Store
        store = Store(pathlib.Path({str(tmp_path)!r}))
        for number in range(50):
            store.write(lambda c, n=number: ledger.set_fact(c, str(n), "x" * 500))
        os.kill(os.getpid(), 9)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    log = tmp_path / f"{FILE_NAME}.wal"
    data = bytearray(log.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 8] = bytes(8)
    log.write_bytes(data)

    with pytest.raises(StoreDamaged, match=r"Corrupt WAL.*recalld restore"):
        Store(tmp_path)
    assert log.read_bytes() == data


@pytest.mark.parametrize("content", [b"", b"hello", b"SQLite format 3\0" + bytes(4096)])
def test_what_is_no_store_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)

    with pytest.raises(StoreDamaged, match="cannot be opened"):
        Store(tmp_path)
    assert (tmp_path / FILE_NAME).read_bytes() == content


def test_a_database_of_another_program_is_left_as_it_is(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / FILE_NAME)) as other:
        other.execute("CREATE TABLE memories (a INTEGER)")
    before = (tmp_path / FILE_NAME).read_bytes()

    with pytest.raises(StoreDamaged, match="another program's database"):
        Store(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]
    assert (tmp_path / FILE_NAME).read_bytes() == before


def test_a_folder_in_the_stores_place_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()

    with pytest.raises(StoreDamaged, match="cannot be opened"):
        Store(tmp_path)


def test_cursors_for_look_ups_are_used_again_until_the_file_changes(store: Store) -> None:
    def names() -> list[str]:
        with store.look_up() as connection:
            return [row[0] for row in connection.execute("SELECT name FROM facts").fetchall()]

    store.write(lambda c: c.execute("INSERT INTO facts VALUES ('one', '1')").fetchall())
    with store.look_up() as first, store.look_up() as second:
        assert first is not second
    with store.look_up() as again:
        assert again in (first, second)
    store.write(lambda c: c.execute("INSERT INTO facts VALUES ('two', '2')").fetchall())
    assert set(names()) >= {"one", "two"}
    store.rewrite()
    assert set(names()) >= {"one", "two"}


def test_a_cursor_whose_question_failed_is_not_used_again(store: Store) -> None:
    with pytest.raises(StoreRefused), store.look_up() as failed:
        failed.execute("SELECT CAST('x' AS BIGINT)").fetchall()
    with store.look_up() as other:
        assert other is not failed
        assert other.execute("SELECT 1").fetchall() == [(1,)]
