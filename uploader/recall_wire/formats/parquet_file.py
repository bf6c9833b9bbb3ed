"""Parquet in the record schema, or with Session-Buddy's columns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from recall_wire.errors import SourceInvalid
from recall_wire.formats.base import ReadOptions, fingerprint_of
from recall_wire.formats.parquet_rows import batches, open_parquet, to_python, translated
from recall_wire.formats.record_row import ID_COLUMNS, Row, identity_of
from recall_wire.formats.session_row import is_derived
from recall_wire.formats.table_source import TableSource


class ParquetSource(TableSource):
    """Columns by name, missing ones tolerated; one of `memory_id` and `id` must be there."""

    type = "records-parquet"

    def __init__(self, path: Path, options: ReadOptions) -> None:
        super().__init__(options)
        self._path = path
        with translated(path), open_parquet(path) as file:
            names = file.schema_arrow.names
        if len(set(names)) != len(names):
            raise SourceInvalid(f"{path.name} has two columns of one name")
        self._id = next((name for name in ID_COLUMNS if name in names), "")
        if not self._id:
            raise SourceInvalid(f"{path.name} has no column memory_id")
        wants_vector = options.embedding is not None
        self._columns = [
            name for name in names if (wants_vector and name == "embedding") or not is_derived(name)
        ]
        self.fingerprint = fingerprint_of(self.type, names)

    def rows(self) -> Iterator[Row]:
        return self._read(self._columns)

    def ids(self) -> Iterator[bytes]:
        return map(identity_of, self._read([self._id]))

    def _read(self, columns: list[str]) -> Iterator[Row]:
        with translated(self._path), open_parquet(self._path) as file:
            for batch in batches(file, columns):
                values = [to_python(column) for column in batch.columns]
                for row in zip(*values, strict=True):
                    yield dict(zip(batch.schema.names, row, strict=True))
