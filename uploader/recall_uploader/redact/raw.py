"""A DuckDB file that is to travel whole: rewritten without its secrets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import duckdb

from recall_uploader.redact.discreet import discreet
from recall_uploader.redact.raw_types import (
    BYTES_FUNCTION,
    LABEL_FUNCTION,
    SECRET_FUNCTION,
    TEXT_FUNCTION,
    labels,
    redacted_type,
    redacted_value,
    shape,
)
from recall_uploader.redact.redactor import Redactor
from recall_wire.errors import SourceInvalid
from recall_wire.formats.base import MEMORY_MAX_BYTES
from recall_wire.formats.duckdb_errors import translated
from recall_wire.formats.duckdb_file import Column, DuckDBFile, Table, literal, quote

_TARGET = "target"
_RESULTS = {BYTES_FUNCTION: "BLOB", SECRET_FUNCTION: "BOOLEAN"}
_SUFFIXES = (".wal", ".wal.checkpoint", ".wal.recovery")
_TABLES = """
SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns
JOIN information_schema.tables USING (table_catalog, table_schema, table_name)
WHERE table_catalog = 'source' AND table_type = 'BASE TABLE' AND is_generated = 'NEVER'
ORDER BY table_schema, table_name, ordinal_position
"""


def redact_database(source: Path, target: Path, redactor: Redactor, scratch_dir: Path) -> int:
    """Write `source` (a copy, with its `.wal`) into the new DuckDB file `target`; how many secrets
    were replaced.

    The same base tables with the same rows and stored columns, every string in them redacted: text,
    JSON, nested values, ENUM values, and bytes that are UTF-8; a number or UUID that is a secret by
    its column's name becomes NULL. Nothing else is taken along: no generated column, view, macro,
    index, default, comment or free page. What no plain SQL type holds (VARIANT, GEOMETRY) becomes
    text.

    Memory is bounded as in `DuckDBFile`. Raises `SourceInvalid` for a damaged file and for a name
    that holds a secret, `LimitExceeded` for values too large; no target is then left.
    """
    remove(target)
    try:
        with (
            discreet(redactor),
            closing(_Rewriter(source, target, redactor, scratch_dir)) as reader,
        ):
            return reader.rewrite()
    except BaseException:
        remove(target)
        raise


def remove(database: Path) -> None:
    """A database with all that may lie beside it."""
    for path in _files(database):
        path.unlink(missing_ok=True)


def _files(database: Path) -> list[Path]:
    return [database, *(Path(f"{database}{suffix}") for suffix in _SUFFIXES)]


class _Rewriter(DuckDBFile):
    """The source with the locks of its reader, and one more file in reach: the target."""

    def __init__(self, source: Path, target: Path, redactor: Redactor, scratch_dir: Path) -> None:
        self._target = target.absolute()
        self._redactor = redactor
        self._count = 0
        super().__init__(source, scratch_dir=scratch_dir, memory_max_bytes=MEMORY_MAX_BYTES)

    def rewrite(self) -> int:
        before = self._redactor.counts.copy()

        def anew() -> int:
            # Whatever an attempt with too little memory left behind: begin at the beginning.
            remove(self._target)
            self._redactor.counts = before.copy()
            self._count = 0
            self._write()
            return self._count

        return self._growing(anew)

    def _write(self) -> None:
        with translated(self._path), self._both() as connection:
            for table in _tables(connection):
                self._check_names(table)
                self._copy(connection, table)
            connection.execute(f"CHECKPOINT {_TARGET}")
            connection.execute(f"DETACH {_TARGET}")

    @contextmanager
    def _both(self) -> Iterator[duckdb.DuckDBPyConnection]:
        connection = self._connect()
        try:
            for name, function in self._functions().items():
                arguments = ["VARCHAR", "BLOB"] if name != LABEL_FUNCTION else ["BLOB"]
                result = _RESULTS.get(name, "VARCHAR")
                connection.create_function(name, function, arguments, result)  # type: ignore[arg-type]
            connection.execute(f"ATTACH {literal(str(self._target))} AS {_TARGET}")
            yield connection
        finally:
            for name in self._functions():
                connection.remove_function(name)
            connection.close()

    def _functions(self) -> dict[str, Callable[..., str | bytes | bool]]:
        return {
            TEXT_FUNCTION: self._text,
            BYTES_FUNCTION: self._bytes,
            LABEL_FUNCTION: self._label,
            SECRET_FUNCTION: self._is_secret,
        }

    def _reachable(self) -> list[Path]:
        return [*super()._reachable(), *_files(self._target)]

    def _copy(self, connection: duckdb.DuckDBPyConnection, table: Table) -> None:
        shapes = [(column.name, shape(column.type)) for column in table.columns]
        clean = {label: self._known(label) for _, s in shapes for label in labels(s)}
        place = f"{_TARGET}.{quote(table.schema)}.{quote(table.name)}"
        columns = ", ".join(f"{quote(name)} {redacted_type(s, clean)}" for name, s in shapes)
        wanted = ", ".join(
            redacted_value(s, quote(name), literal(name), clean) for name, s in shapes
        )
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_TARGET}.{quote(table.schema)}")
        connection.execute(f"CREATE TABLE {place} ({columns})")
        connection.execute(f"INSERT INTO {place} SELECT {wanted} FROM {table.sql}")

    def _check_names(self, table: Table) -> None:
        names = [table.schema, table.name]
        for column in table.columns:
            names += [column.name, *shape(column.type).names()]
        before = self._redactor.counts.copy()
        if any(self._redactor.text(name)[1] for name in names):
            self._redactor.counts = before
            raise SourceInvalid(
                f"the name of a table or column of {self._path.name} holds a secret",
                hint="rename it, or send the records instead of the file",
            )

    def _text(self, name: str, value: bytes) -> str:
        return self._counted(self._redactor.named(name, value.decode(errors="replace")))

    def _bytes(self, name: str, value: bytes) -> bytes:
        try:
            text = value.decode()
        except UnicodeDecodeError:
            return value
        return self._counted(self._redactor.named(name, text)).encode()

    def _is_secret(self, name: str, value: bytes) -> bool:
        text = value.decode()
        return self._counted(self._redactor.named(name, text)) != text

    def _label(self, value: bytes) -> str:
        return self._counted(self._redactor.identity(value.decode(errors="replace")))

    def _known(self, label: str) -> str:
        """What a type's label becomes; it is counted in the rows that have it."""
        before = self._redactor.counts.copy()
        clean, _ = self._redactor.identity(label)
        self._redactor.counts = before
        return clean

    def _counted(self, found: tuple[str, int]) -> str:
        self._count += found[1]
        return found[0]


def _tables(connection: duckdb.DuckDBPyConnection) -> list[Table]:
    """Every base table, its columns named as they are stored."""
    found: dict[tuple[str, str], list[Column]] = {}
    for schema, name, column, kind in connection.execute(_TABLES).fetchall():
        found.setdefault((schema, name), []).append(Column(column, kind))
    return [Table(schema, name, tuple(columns)) for (schema, name), columns in found.items()]
