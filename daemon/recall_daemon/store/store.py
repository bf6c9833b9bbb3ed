"""Opening the store, its one writer, and readers that never wait for it."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import duckdb

from recall_daemon.errors import StoreBroken, StoreDamaged, StoreFailed
from recall_daemon.store import aside, failures, statements
from recall_daemon.store.schema import migrate
from recall_daemon.store.writer import Writer
from recall_wire.errors import RecallError

_Result = TypeVar("_Result")
Connection = duckdb.DuckDBPyConnection

FILE_NAME = "store.duckdb"
CLOSE_WAIT_S = 5.0
# A reader of before holds new ones up for so long at a time, while the file is to be exchanged.
HOLD_S = 0.5
SWAP_WAIT_S = 60.0

# What is sorted or joined beyond the memory limit goes to disk, and no further than this.
TEMP_BYTES = 8 << 30

# `IN` and joins with at most so many values go through an index instead of the table: 512 of
# 1,000,000 hashes are looked up in 6 ms instead of 36; at 2,000 both take as long.
INDEXED_LOOK_UPS = 1024


class Store:
    """One `store.duckdb`, held by this process alone.

    Every file is opened by ATTACH from an in-memory connection: a WAL that was left by a killed
    process can always be replayed that way, and nothing stored in a file can shadow a built-in.
    Raises `StoreBusy` where another process holds the file, `StoreTooNew`, `StoreDamaged`.
    """

    def __init__(
        self, folder: Path, *, memory_limit_bytes: int = 1 << 30, threads: int = 2
    ) -> None:
        self.path = folder / FILE_NAME
        # Another one each time: what lies in the store under another's name is of a process that
        # is gone, for this one alone has it open.
        self.opening = uuid.uuid4().hex[:12]
        self._reading = threading.Condition()
        self._readers = 0
        self._swapping = False
        self._idle: list[Connection] = []
        self._closed = False
        self._broken: StoreBroken | None = None
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        aside.clear(self.path)
        _check_there(self.path)
        self._root = duckdb.connect(
            ":memory:",
            config={
                "memory_limit": f"{memory_limit_bytes // (1 << 20)}MiB",
                "threads": threads,
                "temp_directory": str(folder / "tmp"),
                "max_temp_directory_size": f"{TEMP_BYTES >> 20}MiB",
                "checkpoint_threshold": "1TiB",
                "dynamic_or_filter_threshold": INDEXED_LOOK_UPS,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            },
        )
        try:
            self._root.execute("SET GLOBAL TimeZone = 'UTC'")  # each cursor's, too
            # Where no file is run, DuckDB takes standard output for a person's, and draws bars.
            self._root.execute("SET enable_progress_bar = false")
            # The writer does it, where there is room; DuckDB would not look.
            self._root.execute("PRAGMA disable_checkpoint_on_shutdown")
            self._root.execute(f"ATTACH '{_quoted(self.path)}' AS store")
            cursor = self._root.cursor()
            _prepare(cursor)
            migrate(cursor)
        except RecallError:
            self._root.close()
            raise
        except (duckdb.Error, UnicodeDecodeError) as error:
            self._root.close()
            raise failures.cannot_open(error, self.path) from error
        self._writer = Writer(cursor, self.path, self._failed, reopen=self._reopen)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A cursor of its own, which sees what was committed before each statement.

        Raises `StoreFailed`, `StoreBroken`.
        """
        cursor = self._enter()
        try:
            _prepare(cursor)
            yield cursor
        except duckdb.Error as error:
            raise self._failed(error) from error
        finally:
            cursor.close()
            self._leave()

    @contextmanager
    def look_up(self) -> Iterator[Connection]:
        """As `read`, for a few short questions whose answers are fetched whole.

        Its cursor is used again, which saves half a millisecond: it must be left without a
        transaction and without an open result. Raises `StoreFailed`, `StoreBroken`.
        """
        cursor = self._enter(used=True)
        try:
            yield cursor
        except BaseException as error:
            cursor.close()
            if isinstance(error, duckdb.Error):
                raise self._failed(error) from error
            raise
        else:
            with self._reading:
                self._idle.append(cursor)
        finally:
            self._leave()

    def _enter(self, *, used: bool = False) -> Connection:
        # DuckDB refuses, and does not wait, when two threads call one connection at a time, or
        # close one that another is reading from.
        with self._reading:
            self._reading.wait_for(lambda: not self._swapping)
            if self._closed:
                raise StoreFailed(f"{self.path} is closed")
            self._readers += 1
            try:
                if used and self._idle:
                    return self._idle.pop()
                cursor = self._root.cursor()
                if used:
                    _prepare(cursor)
                return cursor
            except duckdb.Error as error:
                self._readers -= 1
                raise self._failed(error) from error

    def _leave(self) -> None:
        with self._reading:
            self._readers -= 1
            self._reading.notify_all()

    @property
    def commits(self) -> int:
        """Another number once something was committed: until then what was read is still true."""
        return self._writer.commits

    def write(self, work: Callable[[Connection], _Result]) -> _Result:
        """Run `work` in a transaction of the one writer; it is durable when this returns.

        Whatever `work` raises rolls everything back. Works of several threads may share a
        transaction, and are run again, each alone, where one of them fails: so `work` has no
        effect outside the transaction. It runs on the writer's thread. Raises `DiskFull`,
        `StoreFailed` (try again), `StoreRefused` (these values will never do) and `StoreBroken`
        (start again).
        """
        return self._writer.run(work)

    def submit(self, work: Callable[[Connection], _Result]) -> Future[_Result]:
        """As `write`, without waiting; the future is done once it is durable."""
        return self._writer.submit(work)

    def on_commit(self, told: Callable[[], None]) -> None:
        """Have `told` called after each commit, on the writer's thread: briefly, raising nothing.

        There is one; the last one counts.
        """
        self._writer.on_commit = told

    @property
    def is_rewriting(self) -> bool:
        """Whether `rewrite` is under way: writers wait for as long as it takes."""
        return self._writer.is_outside

    def rewrite(self) -> None:
        """Write the file anew, row by row, so that no byte of what was deleted stays in it.

        DuckDB overwrites freed and deleted places when it needs them, which may be never. Readers
        go on but for an instant, writers wait: about ten seconds for 1,000,000 rows. A crash
        leaves the one file or the other. Raises `DiskFull`, and `StoreFailed` where a reader that
        began before does not end within `SWAP_WAIT_S`.
        """
        self._writer.run(self._rewrite, outside=True)

    def _rewrite(self, connection: Connection) -> None:
        with aside.fresh_copy(connection, self.path) as fresh, self._no_reader():
            try:
                aside.swap(connection, fresh, self.path)
            finally:
                _prepare(connection)

    @contextmanager
    def _no_reader(self) -> Iterator[None]:
        """A moment without readers: new ones wait until this ends, or for `HOLD_S` in vain."""
        for _ in range(int(SWAP_WAIT_S / HOLD_S)):
            with self._reading:
                self._swapping = True
                quiet = self._reading.wait_for(lambda: self._readers == 0, timeout=HOLD_S)
            try:
                if quiet:
                    self._close_idle()
                    yield
                    return
            finally:
                with self._reading:
                    self._swapping = False
                    self._reading.notify_all()
        raise StoreFailed(
            f"{self.path} is being read for longer than {SWAP_WAIT_S:.0f} s",
            hint="try again when the backup, or whatever reads it, is done",
        )

    def _reopen(self, connection: Connection) -> None:
        """Attach the file anew, after a checkpoint that failed; what is committed is in its log."""
        try:
            with self._no_reader():
                aside.reattach(connection, self.path)
                _prepare(connection)
        except RecallError as error:
            self._broken = StoreBroken(error.message)
            raise

    def _close_idle(self) -> None:
        for cursor in self._idle:
            cursor.close()
        self._idle.clear()

    def _failed(self, error: duckdb.Error) -> RecallError:
        return self._broken or failures.translated(error, self.path)

    def close(self) -> None:
        """Commit what waits, wait for the readers, close; later calls raise `StoreFailed`.

        A reader that takes longer than `CLOSE_WAIT_S` is left to the end of the process: what is
        committed is safe in the log.
        """
        with self._reading:
            self._closed = True
            is_quiet = self._reading.wait_for(lambda: self._readers == 0, timeout=CLOSE_WAIT_S)
        self._writer.close()
        if is_quiet:
            self._close_idle()
            self._root.close()


def _prepare(cursor: Connection) -> None:
    cursor.execute("USE store")


def next_numbers(connection: Connection, name: str, count: int) -> int:
    """Take `count` numbers of a counter inside the running transaction; returns the first."""
    return take_numbers(connection, {name: count})[name]


def take_numbers(connection: Connection, counts: Mapping[str, int]) -> dict[str, int]:
    """As `next_numbers`, of several counters in one statement: the first number of each."""
    sums = " ".join(f"WHEN '{name}' THEN ?" for name in counts)
    # The whole table, which is a few rows, is read sooner than its index.
    rows = statements.run(
        connection,
        f"UPDATE counters SET value = value + CASE name {sums} ELSE 0 END RETURNING name, value",
        list(counts.values()),
    ).fetchall()
    return {name: int(value) - counts[name] + 1 for name, value in rows if name in counts}


def _check_there(path: Path) -> None:
    """A log without its file: to begin anew would throw away what the log holds."""
    if not path.exists() and aside.log_of(path).exists():
        raise StoreDamaged(f"{path} is gone, and its log is still there", hint=failures.RESTORE)


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
