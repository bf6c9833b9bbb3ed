"""A DuckDB file that nobody vouches for, opened read-only with nothing else in reach."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from recall_wire.errors import LimitExceeded
from recall_wire.formats.duckdb_errors import translated

_MEMORY_BYTES = 64 << 20
_GROWTH = 4
_FETCH_ROWS = 256
_ALIAS = "source"
_T = TypeVar("_T")

_TABLES = """
SELECT table_schema, table_name, table_type FROM information_schema.tables
WHERE table_catalog = ? ORDER BY ALL
"""
_COLUMNS = """
SELECT column_name, data_type FROM information_schema.columns
WHERE table_catalog = ? AND table_schema = ? AND table_name = ? AND is_generated = 'NEVER'
ORDER BY ordinal_position
"""


@dataclass(frozen=True)
class Column:
    """A stored column, never a generated one. `name` in lower case, as DuckDB compares them."""

    name: str
    type: str


@dataclass(frozen=True)
class Table:
    """A base table: never a view."""

    schema: str
    name: str
    columns: tuple[Column, ...]

    @property
    def sql(self) -> str:
        return f"{_ALIAS}.{quote(self.schema)}.{quote(self.name)}"


class DuckDBFile:
    """Base tables of one DuckDB file, and their rows in the order they are stored.

    The file is attached to an in-memory database that was locked before: no file but this one and
    its `.wal` can be reached, nothing is installed or loaded, and since names resolve in the
    in-memory database first, a macro in the file replaces no function. Views are never read.

    DuckDB holds 2,048 rows at once. It starts with 64 MiB; where those rows do not fit (very
    large texts), the read goes on with four times the memory, up to `memory_max_bytes`, and then
    raises `LimitExceeded`. Every method raises `SourceInvalid` for a damaged file.

    `names` lists schema, name and kind (`BASE TABLE`, `VIEW`) of all that is in it.
    """

    def __init__(self, path: Path, *, scratch_dir: Path | None, memory_max_bytes: int) -> None:
        self._path = path.absolute()
        self._memory_max_bytes = memory_max_bytes
        self._memory_bytes = min(_MEMORY_BYTES, memory_max_bytes)
        self._spill = tempfile.TemporaryDirectory(prefix="recall-spill-", dir=scratch_dir)
        try:
            self.names = self._growing(self._list_tables)
        except BaseException:
            self.close()
            raise

    def table(self, name: str) -> tuple[Table | None, list[str]]:
        """The base table of that name, from `main` or else the first schema that has one.

        With it, what else bears the name: each a few words to warn with.
        """
        found = [entry for entry in self.names if entry[1].lower() == name]
        # Base tables before views, main before other schemas.
        found.sort(key=lambda entry: (entry[2] != "BASE TABLE", entry[0] != "main", entry))
        words = [f"{schema}.{other} ({kind.lower()})" for schema, other, kind in found]
        if not found or found[0][2] != "BASE TABLE":
            return None, words
        schema, stored, _ = found[0]
        return self.describe(schema, stored), words[1:]

    def describe(self, schema: str, name: str) -> Table:
        """The base table that `names` lists so."""
        return self._growing(lambda: self._describe(schema, name))

    def stream(self, table: Table, expressions: list[str]) -> Iterator[tuple[Any, ...]]:
        """The expressions' values for every row, in stored order, 256 rows at a time."""
        done = 0
        while True:
            try:
                for row in self._rows(table, expressions, done):
                    done += 1
                    yield row
                return
            except duckdb.OutOfMemoryException as error:
                self._grow(error)

    def close(self) -> None:
        """Removes what was spilled. Idempotent."""
        self._spill.cleanup()

    def _rows(self, table: Table, expressions: list[str], skip: int) -> Iterator[tuple[Any, ...]]:
        with translated(self._path), self._connect() as connection:
            wanted = ", ".join(expressions)
            # One thread and kept insertion order: OFFSET skips the very rows that came before.
            connection.execute(f"SELECT {wanted} FROM {table.sql} OFFSET {skip}")
            while rows := connection.fetchmany(_FETCH_ROWS):
                yield from rows

    def _list_tables(self) -> list[tuple[str, str, str]]:
        with translated(self._path), self._connect() as connection:
            return connection.execute(_TABLES, [_ALIAS]).fetchall()

    def _describe(self, schema: str, name: str) -> Table:
        with translated(self._path), self._connect() as connection:
            rows = connection.execute(_COLUMNS, [_ALIAS, schema, name]).fetchall()
        return Table(schema, name, tuple(Column(row[0].lower(), row[1]) for row in rows))

    def _reachable(self) -> list[Path]:
        """The files that a statement may touch: this one, and what a subclass adds."""
        return [self._path, Path(f"{self._path}.wal")]

    def _connect(self) -> duckdb.DuckDBPyConnection:
        path = literal(str(self._path))
        connection = duckdb.connect(
            ":memory:",
            config={
                "threads": 1,
                "memory_limit": f"{self._memory_bytes}B",
                "temp_directory": self._spill.name,
                "preserve_insertion_order": True,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            },
        )
        try:
            allowed = ", ".join(literal(str(reachable)) for reachable in self._reachable())
            connection.execute(f"SET allowed_paths = [{allowed}]")
            connection.execute("SET enable_external_access = false")
            # Where no file is run, DuckDB takes standard output for a person's, and draws bars.
            connection.execute("SET enable_progress_bar = false")
            connection.execute("SET lock_configuration = true")
            connection.execute(f"ATTACH {path} AS {_ALIAS} (READ_ONLY, TYPE duckdb)")
        except BaseException:
            connection.close()
            raise
        return connection

    def _growing(self, step: Callable[[], _T]) -> _T:
        while True:
            try:
                return step()
            except duckdb.OutOfMemoryException as error:
                self._grow(error)

    def _grow(self, error: duckdb.OutOfMemoryException) -> None:
        if self._memory_bytes >= self._memory_max_bytes:
            raise LimitExceeded(
                f"reading {self._path.name} takes more than the "
                f"{self._memory_max_bytes >> 20} MiB of memory it may take",
                hint="it holds very large values",
            ) from error
        self._memory_bytes = min(self._memory_bytes * _GROWTH, self._memory_max_bytes)


def quote(name: str) -> str:
    """An identifier as SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A string as SQL."""
    return "'" + text.replace("'", "''") + "'"
