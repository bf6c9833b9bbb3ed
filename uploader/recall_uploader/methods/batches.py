"""A spooled snapshot as batches of at most 1,000 memories, each a small Parquet file."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from recall_uploader.outbox import Pending
from recall_uploader.snapshot_file import text_bytes
from recall_uploader.spool import hash_file
from recall_wire.errors import SnapshotInvalid
from recall_wire.formats import ReadOptions, open_source
from recall_wire.manifest import DataFile
from recall_wire.records import RECORD_SCHEMA, Record, to_batch

BATCH_ROWS = 1_000
_BATCH_TEXT_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Batch:
    """One Parquet file in `RECORD_SCHEMA`. `number` counts from 1."""

    number: int
    rows: int
    data: bytes
    sha256: str


def batches(pending: Pending, folder: Path, time_zone: str) -> Iterator[Batch]:
    """Every row of the snapshot, in its order; the same batches whenever it is read.

    In memory: one row group of the snapshot, and its copy. `folder` is the run's own, for a
    database's copy. Raises `SnapshotInvalid` where a file is not what was written.
    """
    for file in pending.manifest.files:
        if hash_file(pending.path(file))[0] != file.sha256:
            raise SnapshotInvalid(f"{pending.path(file)} is not what it was when it was written")
    for number, table in enumerate(_tables(pending, folder, time_zone), start=1):
        data = _file_of(table)
        yield Batch(number, table.num_rows, data, hashlib.sha256(data).hexdigest())


def _tables(pending: Pending, folder: Path, time_zone: str) -> Iterator[pa.Table]:
    for file in pending.manifest.files:
        if file.format == "parquet":
            yield from _of_parquet(pending.path(file))
        elif file.format == "duckdb":
            yield from _of_database(pending, file, folder, time_zone)


def _of_parquet(path: Path) -> Iterator[pa.Table]:
    try:
        with pq.ParquetFile(path) as file:
            for number in range(file.num_row_groups):
                group = file.read_row_group(number)
                for start in range(0, group.num_rows, BATCH_ROWS):
                    yield group.slice(start, BATCH_ROWS)
    except (pa.ArrowException, OSError) as error:
        raise SnapshotInvalid(f"{path} cannot be read any more: {error}") from error


def _of_database(
    pending: Pending, file: DataFile, folder: Path, time_zone: str
) -> Iterator[pa.Table]:
    """A DuckDB file's memories, as the hub would read them."""
    copy = folder / "pushed.duckdb"
    _link(pending.path(file), copy)
    log = next((other for other in pending.manifest.files if other.format == "duckdb-wal"), None)
    if log is not None:
        _link(pending.path(log), copy.with_name(f"{copy.name}.wal"))
    options = ReadOptions(
        time_zone=time_zone, embedding=pending.manifest.embedding, scratch_dir=folder
    )
    with open_source(copy, options) as source:
        for rows in _many(source.records()):
            yield pa.Table.from_batches([to_batch(rows)])


def _many(records: Iterable[Record]) -> Iterator[list[Record]]:
    """At most `BATCH_ROWS`, and no more text than one row beyond `_BATCH_TEXT_BYTES`."""
    rows: list[Record] = []
    size = 0
    for record in records:
        rows.append(record)
        size += text_bytes(record)
        if len(rows) >= BATCH_ROWS or size >= _BATCH_TEXT_BYTES:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


def _link(path: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    target.hardlink_to(path)


def _file_of(table: pa.Table) -> bytes:
    out = io.BytesIO()
    pq.write_table(table.cast(RECORD_SCHEMA), out, compression="zstd", use_dictionary=False)
    return out.getvalue()
