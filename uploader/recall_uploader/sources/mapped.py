"""Any table of a DuckDB or SQLite file as a source, by the mapping in the settings.

Only mapped columns are read: what nobody named does not leave the machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from recall_uploader.sources.mapping import TableName, match_columns, pick_table
from recall_uploader.sources.sqlite_copy import SQLiteFile
from recall_wire.formats.base import ReadOptions, fingerprint_of
from recall_wire.formats.duckdb_file import Column, DuckDBFile
from recall_wire.formats.record_row import Row, identity_of
from recall_wire.formats.sql_values import Fetch, fetch_text, fetch_value, fetch_vector
from recall_wire.formats.table_source import TableSource
from recall_wire.records import Kind

_VALUES = frozenset(["created_at", "updated_at", "tags", "importance", "metadata"])
_ID, _EMBEDDING = "memory_id", "embedding"


class MappedDuckDB(TableSource):
    """A base table of a DuckDB file that nobody vouches for."""

    type = "mapped-duckdb"

    def __init__(
        self,
        copy: Path,
        table: str,
        columns: Mapping[str, str],
        options: ReadOptions,
        *,
        kind: Kind = "note",
    ) -> None:
        super().__init__(options)
        self._kind = kind
        self._file = DuckDBFile(
            copy, scratch_dir=options.scratch_dir, memory_max_bytes=options.memory_max_bytes
        )
        try:
            picked = pick_table(table, duckdb_tables(self._file), copy)
            self._table = self._file.describe(picked.schema, picked.name)
            stored = {column.name: column for column in self._table.columns}
            matched = match_columns(columns, list(stored), picked.name, copy)
        except BaseException:
            self.close()
            raise
        self._fields = _wanted(matched, options)
        self._fetches = [_fetch(field, stored[matched[field]]) for field in self._fields]
        self.fingerprint = _fingerprint(self.type, picked, matched)

    def rows(self) -> Iterator[Row]:
        for row in self._file.stream(self._table, [fetch.sql for fetch in self._fetches]):
            values = [fetch.finish(value) for fetch, value in zip(self._fetches, row, strict=True)]
            yield _row(self._fields, values, self._kind)

    def ids(self) -> Iterator[bytes]:
        fetch = self._fetches[self._fields.index(_ID)]
        for (value,) in self._file.stream(self._table, [fetch.sql]):
            yield identity_of({_ID: fetch.finish(value)})

    def close(self) -> None:
        self._file.close()


class MappedSQLite(TableSource):
    """A base table of a copied SQLite database."""

    type = "mapped-sqlite"

    def __init__(
        self,
        copy: Path,
        table: str,
        columns: Mapping[str, str],
        options: ReadOptions,
        *,
        kind: Kind = "note",
    ) -> None:
        super().__init__(options)
        self._kind = kind
        self._file = SQLiteFile(copy)
        self._table = pick_table(table, self._file.tables, copy)
        stored = self._file.columns(self._table)
        matched = match_columns(columns, stored, self._table.name, copy)
        self._fields = _wanted(matched, options)
        self._columns = [matched[field] for field in self._fields]
        self.fingerprint = _fingerprint(self.type, self._table, matched)

    def rows(self) -> Iterator[Row]:
        for row in self._file.stream(self._table, self._columns):
            yield _row(self._fields, row, self._kind)

    def ids(self) -> Iterator[bytes]:
        column = self._columns[self._fields.index(_ID)]
        for (value,) in self._file.stream(self._table, [column]):
            yield identity_of({_ID: value})


def duckdb_tables(file: DuckDBFile) -> list[TableName]:
    kinds = {"BASE TABLE": "table"}
    return [TableName(s, n, kinds.get(kind, kind.lower())) for s, n, kind in file.names]


def _wanted(matched: Mapping[str, str], options: ReadOptions) -> list[str]:
    return [field for field in matched if field != _EMBEDDING or options.embedding is not None]


def _fetch(field: str, column: Column) -> Fetch:
    if field == _EMBEDDING:
        return fetch_vector(column)
    return fetch_value(column) if field in _VALUES else fetch_text(column)


def _row(fields: Sequence[str], values: Sequence[object], kind: Kind) -> Row:
    row = dict(zip(fields, values, strict=True))
    if row.get("kind") in (None, b"", ""):
        row["kind"] = kind
    return row


def _fingerprint(kind: str, table: TableName, matched: Mapping[str, str]) -> str:
    name = f"{table.schema}.{table.name}"
    return fingerprint_of(kind, [name, *(f"{f}={c}" for f, c in matched.items())])
