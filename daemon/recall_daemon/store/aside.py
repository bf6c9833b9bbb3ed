"""The store's file written anew beside itself, and put in its place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from recall_daemon.errors import StoreBroken

SUFFIX = ".new"


def clear(path: Path) -> None:
    """Remove what a crash left beside the store. Idempotent."""
    for left in (_aside(path), _log(_aside(path))):
        left.unlink(missing_ok=True)


@contextmanager
def fresh_copy(connection: duckdb.DuckDBPyConnection, path: Path) -> Iterator[Path]:
    """A copy of the store that `connection` uses, row by row, synced and closed; gone at the end.

    Raises what DuckDB raises.
    """
    clear(path)
    fresh = _aside(path)
    try:
        connection.execute(f"ATTACH '{_quoted(fresh)}' AS fresh")
        try:
            connection.execute("BEGIN")
            try:
                connection.execute("COPY FROM DATABASE store TO fresh").fetchall()
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("CHECKPOINT fresh")
        finally:
            connection.execute("DETACH fresh")
        os.chmod(fresh, path.stat().st_mode & 0o777)
        yield fresh
    finally:
        clear(path)


def swap(connection: duckdb.DuckDBPyConnection, fresh: Path, path: Path) -> None:
    """Put the copy in the store's place, while nobody else reads or writes.

    The log goes first: a crash must not leave it beside a file that it does not belong to. Raises
    `StoreBroken` where the store cannot be opened again: the next process can.
    """
    connection.execute("CHECKPOINT store")
    connection.execute("USE memory")
    connection.execute("DETACH store")
    try:
        fresh.replace(path)
        _sync(path.parent)
    finally:
        try:
            connection.execute(f"ATTACH '{_quoted(path)}' AS store")
        except duckdb.Error as error:
            raise StoreBroken(f"{path} must be opened again: {error}") from error


def _aside(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)


def _log(path: Path) -> Path:
    return path.with_name(path.name + ".wal")


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
