"""The store's file written anew beside itself, and put in its place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from recall_daemon.errors import DiskFull, StoreBroken

SUFFIX = ".new"


def clear(path: Path) -> None:
    """Remove what a crash left beside the store. Idempotent."""
    for left in (_aside(path), log_of(_aside(path))):
        left.unlink(missing_ok=True)


@contextmanager
def fresh_copy(connection: duckdb.DuckDBPyConnection, path: Path) -> Iterator[Path]:
    """A copy of the store that `connection` uses, row by row, synced and closed; gone at the end.

    Raises `DiskFull` where it may not fit, and what DuckDB raises.
    """
    clear(path)
    _check_room(path)
    fresh = _aside(path)
    try:
        connection.execute(f"ATTACH '{_quoted(fresh)}' AS fresh")
        try:
            copy_rows(connection, "fresh")
        finally:
            connection.execute("DETACH fresh")
        os.chmod(fresh, path.stat().st_mode & 0o777)
        yield fresh
    finally:
        clear(path)


def _check_room(path: Path) -> None:
    """A copy that fills the disk would hurt whoever else writes to it, every time it is tried."""
    log = log_of(path)
    needed = path.stat().st_size + (log.stat().st_size if log.exists() else 0)
    free = shutil.disk_usage(path.parent).free
    if free < needed:
        raise DiskFull(f"a copy of {path} may need {needed} bytes of disk, {free} are free")


def copy_rows(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Fill the attached empty database `name` with the store as it is at one instant."""
    connection.execute("BEGIN")
    try:
        connection.execute(f"COPY FROM DATABASE store TO {name}").fetchall()
        connection.execute("COMMIT")
    except BaseException:
        with suppress(duckdb.TransactionException):  # a COMMIT that fails has rolled back
            connection.execute("ROLLBACK")
        raise
    connection.execute(f"CHECKPOINT {name}")


def swap(connection: duckdb.DuckDBPyConnection, fresh: Path, path: Path) -> None:
    """Put the copy in the store's place, while nobody else reads or writes.

    The log goes first: a crash must not leave it beside a file that it does not belong to. Raises
    `StoreBroken` where the store cannot be opened again: the next process can.
    """
    connection.execute("CHECKPOINT store")

    def put_in_place() -> None:
        fresh.replace(path)
        _sync(path.parent)

    reattach(connection, path, put_in_place)


def reattach(
    connection: duckdb.DuckDBPyConnection, path: Path, between: Callable[[], None] = lambda: None
) -> None:
    """Detach the store, do what cannot be done while it is open, attach it again.

    While nobody else reads or writes. Raises `StoreBroken` where it cannot be attached again: the
    next process can.
    """
    # One that uses the store can neither detach it nor, once DuckDB has given it up, let it go.
    other = connection.cursor()
    try:
        other.execute("DETACH store")
        try:
            between()
        finally:
            other.execute(f"ATTACH '{_quoted(path)}' AS store")
    except duckdb.Error as error:
        raise StoreBroken(f"{path} must be opened again: {error}") from error
    finally:
        other.close()


def _aside(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)


def log_of(path: Path) -> Path:
    """Where DuckDB keeps the log of the file at `path`."""
    return path.with_name(path.name + ".wal")


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
