"""A snapshot's own data file: Parquet in the record schema, which keeps to its manifest or goes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from recall_wire.errors import LimitExceeded, SnapshotInvalid
from recall_wire.formats import values
from recall_wire.formats.parquet_rows import (
    batches,
    open_parquet,
    translated,
    uncompressed_bytes,
)
from recall_wire.records import RECORD_SCHEMA, TEXT_MAX_BYTES, conform

MAX_BYTES = 2 << 30
_TIMES = ("created_at", "updated_at")
_EARLIEST = pa.scalar(datetime(1, 1, 1, tzinfo=UTC), pa.timestamp("us", tz="UTC"))
_LATEST = pa.scalar(datetime.max.replace(tzinfo=UTC), pa.timestamp("us", tz="UTC"))


@dataclass
class Budget:
    """What one read may still bring, over all of its files."""

    rows: int
    bytes: int = MAX_BYTES

    def spend(self, rows: int, size: int) -> None:
        """Raises `LimitExceeded` once more came than was allowed."""
        self.rows -= rows
        self.bytes -= size
        if self.rows < 0:
            raise LimitExceeded("the data has more rows than one snapshot may hold")
        if self.bytes < 0:
            raise LimitExceeded("the data is larger, once unpacked, than one snapshot may be")


def read_contract(
    path: Path, *, rows: int | None, embedding_dim: int | None, budget: Budget
) -> Iterator[pa.RecordBatch]:
    """The file's rows in `RECORD_SCHEMA`, in file order.

    `rows` is what the manifest says. The footer is held against it and against the budget before
    any row is read, then every batch again: a footer may lie. Raises `SnapshotInvalid`,
    `LimitExceeded`.
    """
    with translated(path, SnapshotInvalid), open_parquet(path) as file:
        claimed = file.metadata.num_rows
        if rows is not None and claimed != rows:
            raise SnapshotInvalid(f"{path.name} has {claimed} rows, the manifest says {rows}")
        if claimed > budget.rows or uncompressed_bytes(file) > budget.bytes:
            raise LimitExceeded(
                f"{path.name} holds {claimed} rows in {uncompressed_bytes(file)} bytes, "
                "more than one snapshot may"
            )
        names = [name for name in RECORD_SCHEMA.names if name in file.schema_arrow.names]
        came = 0
        for batch in batches(file, names):
            came += batch.num_rows
            conformed = _checked(conform(batch, embedding_dim=embedding_dim))
            budget.spend(conformed.num_rows, conformed.nbytes)
            yield conformed
    if came != claimed:
        raise SnapshotInvalid(f"{path.name} has {came} rows, its footer says {claimed}")


def _checked(batch: pa.RecordBatch) -> pa.RecordBatch:
    columns = {name: batch.column(name) for name in batch.schema.names}
    for name in ("text", "metadata"):
        if (pc.max(pc.binary_length(columns[name])).as_py() or 0) > TEXT_MAX_BYTES:
            raise LimitExceeded(f"a {name} is larger than {TEXT_MAX_BYTES >> 20} MiB")
    for text in columns["metadata"].to_pylist():
        if text != "{}" and not isinstance(values.load_json(text), dict):
            raise SnapshotInvalid("a row's metadata is not a JSON object")
    for name in _TIMES:
        columns[name] = _known_years(columns[name])
    return pa.RecordBatch.from_arrays(list(columns.values()), schema=RECORD_SCHEMA)


def _known_years(column: pa.Array) -> pa.Array:
    """Times outside the years 1 to 9999 become null: nothing downstream could hold them."""
    inside = pc.and_(pc.greater_equal(column, _EARLIEST), pc.less_equal(column, _LATEST))
    return pc.if_else(inside, column, pa.scalar(None, column.type))
