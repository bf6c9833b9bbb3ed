"""Session-Buddy's DuckDB files, both generations of tables, as records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from recall_wire.errors import SourceInvalid
from recall_wire.formats.base import Notes, ReadOptions, fingerprint_of
from recall_wire.formats.duckdb_file import DuckDBFile, Table
from recall_wire.formats.repeats import Key, Repeats, find_repeats
from recall_wire.formats.session_row import EMBEDDING, TEXT_COLUMNS, SessionRows, is_derived
from recall_wire.formats.sql_values import Fetch, fetch_text, fetch_value, fetch_vector
from recall_wire.records import Record


@dataclass(frozen=True)
class _Kind:
    """A table that holds memories. `suffix` names its rows whose id an earlier table has."""

    name: str
    reflections: bool
    suffix: str


_KINDS = (
    _Kind("conversations_v2", False, "conversation"),
    _Kind("reflections_v2", True, "reflection"),
    _Kind("conversations", False, "v1"),
    _Kind("reflections", True, "reflection-v1"),
)
TABLES = tuple(kind.name for kind in _KINDS)


@dataclass(frozen=True)
class _Part:
    """A memory table that is there; its id is the first thing fetched."""

    number: int
    kind: _Kind
    table: Table
    fetches: list[Fetch]


class SessionBuddySource:
    """A `RecordSource` over the memory tables that are there, in stored order."""

    type = "session-buddy"

    def __init__(self, path: Path, options: ReadOptions) -> None:
        """Raises `SourceInvalid`, `SourceBusy` and, for a file of huge values, `LimitExceeded`."""
        self._notes = Notes()
        self._max_rows = options.max_rows
        self._said: list[str] = []
        self._rows = SessionRows(options.zone(), options.embedding, self._notes)
        self._with_vectors = options.embedding is not None
        self._file = DuckDBFile(
            path, scratch_dir=options.scratch_dir, memory_max_bytes=options.memory_max_bytes
        )
        try:
            self._parts = self._find_parts(path)
        except BaseException:
            self.close()
            raise
        self.fingerprint = fingerprint_of(
            self.type,
            [f"{part.kind.name}.{c.name}" for part in self._parts for c in part.table.columns],
        )

    @property
    def warnings(self) -> list[str]:
        return self._said + self._notes.sentences()

    @property
    def skipped(self) -> int:
        return self._notes.skipped

    def records(self) -> Iterator[Record]:
        self._notes.clear()
        suffixes = tuple(part.kind.suffix for part in self._parts)
        repeats = find_repeats(self._keys, suffixes, max_rows=self._max_rows)
        position = 0
        for part in self._parts:
            for row in self._file.stream(part.table, [fetch.sql for fetch in part.fetches]):
                identity = self._identity(part, row[0] or b"", position, repeats)
                position += 1
                if identity and (record := self._record(part, row, identity)):
                    yield record

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _identity(self, part: _Part, identity: bytes, position: int, repeats: Repeats) -> bytes:
        """The id that the row goes by; empty where the row is left out (and noted)."""
        key = (part.number, identity)
        if not identity:
            self._notes.skip(f"of {part.kind.name} had no id and were left out")
            return b""
        if repeats.is_superseded(key, position):
            self._notes.add(f"of {part.kind.name} had the id of a later row, which counts instead")
            return b""
        renamed = repeats.renamed(key)
        if renamed != identity:
            self._notes.add(
                f"of {part.kind.name} had the id of a row in another table; #… was added"
            )
        return renamed

    def _record(self, part: _Part, row: tuple[Any, ...], identity: bytes) -> Record | None:
        fetched = zip(part.fetches, row, strict=True)
        values = {fetch.name: fetch.finish(value) for fetch, value in fetched}
        return self._rows.record(values, identity=identity, reflections=part.kind.reflections)

    def _find_parts(self, path: Path) -> list[_Part]:
        parts: list[_Part] = []
        for kind in _KINDS:
            table, others = self._file.table(kind.name)
            self._said += [f"{other} was not read" for other in others]
            if table is not None:
                fetches = _fetches(path, table, with_vectors=self._with_vectors)
                parts.append(_Part(len(parts), kind, table, fetches))
        if not parts:
            raise SourceInvalid(
                f"{path.name} has none of the tables {', '.join(TABLES)}",
                hint="a database that is in use keeps them in the .wal beside it",
            )
        return parts

    def _keys(self) -> Iterator[Key]:
        for part in self._parts:
            for (identity,) in self._file.stream(part.table, [part.fetches[0].sql]):
                yield part.number, identity or b""


def _fetches(path: Path, table: Table, *, with_vectors: bool) -> list[Fetch]:
    """The id first, then every column that is a field or metadata."""
    columns = {column.name: column for column in table.columns}
    if "id" not in columns:
        raise SourceInvalid(f"table {table.name} of {path.name} has no column id")
    fetches = [fetch_text(columns.pop("id"))]
    for name, column in columns.items():
        if name == EMBEDDING and with_vectors:
            fetches.append(fetch_vector(column))
        elif name in TEXT_COLUMNS:
            fetches.append(fetch_text(column))
        elif not is_derived(name):
            fetches.append(fetch_value(column))
    return fetches
