"""Opening the store, its one writer, and readers that never wait for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import duckdb

from recall_daemon.errors import (
    DiskFull,
    StoreBroken,
    StoreBusy,
    StoreDamaged,
    StoreFailed,
    StoreRefused,
)
from recall_daemon.store.schema import migrate
from recall_wire.errors import RecallError

_Result = TypeVar("_Result")
Connection = duckdb.DuckDBPyConnection

FILE_NAME = "store.duckdb"
CLOSE_WAIT_S = 5.0

_FATAL = (duckdb.FatalException, duckdb.InternalException)
_ABOUT_VALUES = (
    duckdb.ConstraintException,
    duckdb.ConversionException,
    duckdb.InvalidInputException,
    duckdb.OutOfRangeException,
)


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
        self._lock = threading.RLock()
        self._reading = threading.Condition()
        self._readers = 0
        self._closed = False
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._root = duckdb.connect(
            ":memory:",
            config={
                "memory_limit": f"{memory_limit_bytes // (1 << 20)}MiB",
                "threads": threads,
                "temp_directory": str(folder / "tmp"),
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            },
        )
        try:
            self._root.execute(f"ATTACH '{_quoted(self.path)}' AS store")
            self._writer = self._root.cursor()
            _prepare(self._writer)
            migrate(self._writer)
        except duckdb.IOException as error:
            self._root.close()
            raise _opening(error, self.path) from error
        except (duckdb.Error, UnicodeDecodeError) as error:
            self._root.close()
            raise StoreDamaged(
                f"{self.path} cannot be opened: {str(error).splitlines()[0]}",
                hint="move it away and start again: it is rebuilt from the bucket",
            ) from error

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

    def _enter(self) -> Connection:
        # DuckDB refuses, and does not wait, when two threads call one connection at a time, or
        # close one that another is reading from.
        with self._reading:
            if self._closed:
                raise StoreFailed(f"{self.path} is closed")
            cursor = self._root.cursor()
            self._readers += 1
            return cursor

    def _leave(self) -> None:
        with self._reading:
            self._readers -= 1
            self._reading.notify_all()

    def write(self, work: Callable[[Connection], _Result]) -> _Result:
        """Run `work` in one transaction of the one writer; it is durable when this returns.

        Whatever `work` raises rolls everything back. Raises `DiskFull`, `StoreFailed` (try again),
        `StoreRefused` (these values will never do) and `StoreBroken` (start again).
        """
        with self._lock:
            if self._closed:
                raise StoreFailed(f"{self.path} is closed")
            try:
                self._writer.execute("BEGIN")
                result = work(self._writer)
                self._commit()
            except duckdb.Error as error:
                self._rollback()
                raise self._failed(error) from error
            except BaseException:
                self._rollback()
                raise
            return result

    def _commit(self) -> None:
        self._writer.execute("COMMIT")

    def _failed(self, error: duckdb.Error) -> RecallError:
        lines = str(error).splitlines() or [type(error).__name__]
        if isinstance(error, _FATAL) or "invalidated" in str(error):
            return StoreBroken(f"{self.path} must be opened again: {lines[0]}")
        if "no space" in str(error).lower() or "disk full" in str(error).lower():
            return DiskFull(f"no space left for {self.path}")
        if isinstance(error, _ABOUT_VALUES):
            return StoreRefused(f"the store cannot hold these values: {lines[0]}")
        return StoreFailed(f"the store at {self.path} failed: {lines[0]}")

    def _rollback(self) -> None:
        # A failed COMMIT has rolled back already; a second ROLLBACK is then an error of its own.
        try:
            self._writer.execute("ROLLBACK")
        except duckdb.TransactionException:
            return

    def close(self) -> None:
        """Wait for the writer and the readers, then close; later calls raise `StoreFailed`.

        A reader that takes longer than `CLOSE_WAIT_S` is left to the end of the process: what is
        committed is safe in the log.
        """
        with self._lock, self._reading:
            self._closed = True
            if self._reading.wait_for(lambda: self._readers == 0, timeout=CLOSE_WAIT_S):
                self._writer.close()
                self._root.close()


def _prepare(cursor: Connection) -> None:
    cursor.execute("USE store")
    cursor.execute("SET TimeZone = 'UTC'")


def next_numbers(connection: Connection, name: str, count: int) -> int:
    """Take `count` numbers of a counter inside the running transaction; returns the first."""
    rows = connection.execute(
        "UPDATE counters SET value = value + ? WHERE name = ? RETURNING value", [count, name]
    ).fetchall()
    return int(rows[0][0]) - count + 1


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _opening(error: duckdb.IOException, path: Path) -> StoreBusy | StoreDamaged:
    if "lock" in str(error).lower():
        return StoreBusy(
            f"another process holds {path}", hint="stop it, or ask it through its port"
        )
    return StoreDamaged(
        f"{path} cannot be opened: {str(error).splitlines()[0]}",
        hint="move it away and start again: it is rebuilt from the bucket",
    )
