"""Works share a commit and fail alone; the log is checkpointed when nobody waits, and bounded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import duckdb
import pytest
from structlog.testing import capture_logs

from recall_daemon.errors import DiskFull, StoreFailed, StoreRefused
from recall_daemon.store import ledger, writer
from recall_daemon.store.store import FILE_NAME, Connection, Store
from recall_daemon.store.writer import Writer


class Held:
    """A writer that is inside a first work, so that what is submitted meanwhile waits."""

    def __init__(self, store: Store) -> None:
        self.writer: Writer = store._writer
        self._inside, self._leave = threading.Event(), threading.Event()
        self.first = self.writer.submit(self._hold)
        self._inside.wait(10)

    def _hold(self, connection: Connection) -> None:
        self._inside.set()
        self._leave.wait(10)

    def set_fact(self, name: str, error: BaseException | None = None) -> Future[int]:
        """A work that sets a fact and returns the number of its transaction, or fails."""

        def work(connection: Connection) -> int:
            ledger.set_fact(connection, name, "set")
            if error is not None:
                raise error
            return int(connection.execute("SELECT txid_current()").fetchall()[0][0])

        return self.writer.submit(work)

    def release(self) -> None:
        self._leave.set()
        self.first.exception(10)


@pytest.fixture
def held(store: Store, monkeypatch: pytest.MonkeyPatch) -> Held:
    monkeypatch.setattr(writer, "GROUP_S", 60.0)
    return Held(store)


def facts(store: Store) -> set[str]:
    with store.read() as connection:
        return {row[0] for row in connection.execute("SELECT name FROM facts").fetchall()}


def test_works_that_wait_share_a_transaction(held: Held, store: Store) -> None:
    waiting = [held.set_fact(f"fact {n}") for n in range(5)]
    held.release()

    assert len({future.result(10) for future in waiting}) == 1
    assert facts(store) == {f"fact {n}" for n in range(5)}


def test_the_same_row_may_be_written_twice_in_a_group(held: Held, store: Store) -> None:
    one, two = held.set_fact("same"), held.set_fact("same")
    held.release()

    assert one.result(10) == two.result(10)
    assert facts(store) == {"same"}


def test_a_group_is_bounded_in_works_and_in_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, bound in (("GROUP_WORKS", 3), ("GROUP_S", 0.0)):
        with monkeypatch.context() as patched:
            patched.setattr(writer, "GROUP_S", 60.0)
            patched.setattr(writer, name, bound)
            held = Held(store)
            waiting = [held.set_fact(f"{name} {n}") for n in range(5)]
            held.release()
            transactions = {future.result(10) for future in waiting}
            assert len(transactions) == (2 if name == "GROUP_WORKS" else 5)


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), SystemExit(1)])
def test_one_that_fails_fails_alone(held: Held, store: Store, error: BaseException) -> None:
    before, failing, after = (
        held.set_fact("before"),
        held.set_fact("failing", error),
        held.set_fact("after"),
    )
    held.release()

    assert before.result(10) < after.result(10)
    assert failing.exception(10) is error
    assert facts(store) == {"before", "after"}


def test_errors_of_the_database_reach_their_own_caller(held: Held) -> None:
    good = held.set_fact("good")
    bad = held.writer.submit(lambda c: c.execute("SELECT 'x'::INTEGER").fetchall())
    held.release()

    assert isinstance(bad.exception(10), StoreRefused)
    assert isinstance(bad.exception().__cause__, duckdb.ConversionException)  # type: ignore[union-attr]
    assert good.result(10)


def test_when_no_transaction_can_begin_everyone_hears_of_it(held: Held) -> None:
    held.writer.submit(lambda connection: connection.close())
    waiting = [held.set_fact(f"fact {n}") for n in range(3)]
    held.release()

    assert {type(future.exception(10)) for future in waiting} == {StoreFailed}


def test_a_caller_that_gives_up_takes_its_work_back(held: Held, store: Store) -> None:
    dropped, kept = held.set_fact("dropped"), held.set_fact("kept")
    assert dropped.cancel()
    held.release()

    assert kept.result(10)
    assert facts(store) == {"kept"}


def test_a_work_cannot_write_through_the_store(store: Store) -> None:
    with pytest.raises(RuntimeError, match="cannot write through the store"):
        store.write(lambda _: store.write(lambda _: None))
    assert store.write(lambda _: "goes on") == "goes on"


def test_what_waits_at_the_close_is_committed(held: Held, store: Store, tmp_path: Path) -> None:
    waiting = held.set_fact("last")
    closer = threading.Thread(target=store.close)
    closer.start()
    held.release()
    closer.join(10)

    assert waiting.result(10)
    with pytest.raises(StoreFailed, match="is closed"):
        held.set_fact("too late")
    assert not (tmp_path / "hub" / f"{FILE_NAME}.wal").exists()
    again = Store(tmp_path / "hub")
    assert facts(again) == {"last"}
    again.close()


class Log:
    """The store's log, whose bounds are set to a few KB."""

    def __init__(self, store: Store, patch: pytest.MonkeyPatch) -> None:
        self.store = store
        self._path = store.path.with_name(f"{FILE_NAME}.wal")
        self._patch = patch
        self._value = 0
        self.tried = threading.Event()
        plain = Writer._checkpoint

        def checkpoint(self_: Writer) -> bool:
            done = plain(self_)
            self.tried.set()
            return done

        patch.setattr(Writer, "_checkpoint", checkpoint)

    def bound(self, *, due: int, most: int) -> None:
        for name, value in (("CHECKPOINT_BYTES", due), ("MAX_LOG_BYTES", most)):
            self._patch.setattr(writer, name, value)
        at_work = self.store._writer
        at_work._due_bytes, at_work._wait_bytes = due, most

    @property
    def bytes(self) -> int:
        return self._path.stat().st_size if self._path.exists() else 0

    def grow(self, times: int = 1) -> None:
        """About 4 KB each time."""
        for _ in range(times):
            self._value += 1
            value = f"{self._value:04d}" * 1000
            self.store.write(lambda c: ledger.set_fact(c, "large", value))  # noqa: B023


@pytest.fixture
def log(store: Store, monkeypatch: pytest.MonkeyPatch) -> Log:
    return Log(store, monkeypatch)


@pytest.fixture
def old_reader(store: Store) -> Iterator[Callable[[], None]]:
    """A transaction that sees the store as it was; calling the fixture's value ends it."""
    with store.read() as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM facts").fetchall()
        yield lambda: connection.execute("COMMIT") and None
        connection.close()


def test_a_long_log_is_checkpointed_in_an_idle_moment(log: Log) -> None:
    log.bound(due=6000, most=1 << 30)
    log.grow()
    assert log.bytes > 4000
    assert not log.tried.is_set()

    log.grow(2)
    assert log.tried.wait(10)
    assert log.bytes == 0


def test_at_the_bound_the_writer_checkpoints_before_it_goes_on(log: Log) -> None:
    log.bound(due=1 << 30, most=10_000)
    for _ in range(20):
        log.grow()
        assert log.bytes < 10_000 + 5_000
    assert log.tried.is_set()


def test_the_writer_waits_for_a_reader_that_is_in_the_way(
    log: Log, old_reader: Callable[[], None]
) -> None:
    log.grow(3)
    log.bound(due=1 << 30, most=8_000)
    growing = threading.Thread(target=log.grow, args=[2])
    growing.start()
    assert log.tried.wait(10)
    assert log.bytes > 8_000

    old_reader()
    growing.join(10)
    log.store.write(lambda _: None)  # whose turn comes after the checkpoint
    assert log.bytes < 8_000


def test_a_reader_that_takes_too_long_does_not_stop_the_writer(
    log: Log, old_reader: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "PATIENCE_S", 0.0)
    log.grow()
    log.bound(due=20_000, most=8_000)
    log.grow(3)
    assert log.tried.is_set()
    log.tried.clear()
    log.grow()
    assert not log.tried.is_set()

    old_reader()
    log.grow(5)
    assert log.tried.wait(10)
    assert log.bytes < 20_000


def test_a_checkpoint_that_fails_is_said_and_tried_later(
    log: Log, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing:
        def execute(self, sql: str) -> None:
            raise duckdb.IOException(f"{sql}: no space left\nmore")

    at_work = store._writer
    log.bound(due=5000, most=1 << 30)
    with capture_logs() as said, monkeypatch.context() as patched:
        patched.setattr(at_work, "_connection", Failing())
        assert not at_work._checkpoint()
    assert [entry["error"] for entry in said] == ["CHECKPOINT store: no space left"]

    log.tried.clear()
    log.grow()
    assert at_work._due_bytes >= 5000
    log.grow(2)
    assert log.tried.wait(10)


@pytest.mark.parametrize("error", [DiskFull("no room"), OSError(5, "Input/output error")])
def test_at_the_bound_one_that_fails_is_not_tried_again_at_once(
    log: Log, store: Store, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def no_room(_: Writer) -> None:
        raise error

    with capture_logs() as said, monkeypatch.context() as patched:
        patched.setattr(Writer, "_check_room", no_room)
        log.bound(due=20_000, most=6_000)
        log.grow(4)
        store.write(lambda _: None)  # whose turn comes after the checkpoint
    assert [entry["event"] for entry in said] == ["store.not_checkpointed"]
