"""One Parquet data file of a snapshot, written in bounded row groups and hashed on the way."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from recall_uploader.diff import time_of
from recall_wire.errors import SnapshotInvalid
from recall_wire.manifest import DataFile
from recall_wire.records import RECORD_SCHEMA, Record, to_batch

# Memory: one row group of Python rows and its Arrow copy, so about 3 x _GROUP_TEXT_BYTES, or
# _GROUP_ROWS x 12 KB where rows carry vectors.
_GROUP_ROWS = 1_000
_GROUP_TEXT_BYTES = 4 << 20
# Of few distinct values. A dictionary of every text only costs memory: 12 MiB at the peak.
_DICTIONARY_COLUMNS = [
    *("kind", "project", "namespace", "session_id", "agent_id", "user_id", "op", "target_system")
]
_PART = "part"


class SnapshotFile:
    """Add records, then `close`. The file is named when its bytes, and so its hash, are known."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _PART
        self._sink = _HashingFile(self._path.open("xb"))
        self._writer = pq.ParquetWriter(
            pa.PythonFile(self._sink, mode="w"),
            RECORD_SCHEMA,
            compression="zstd",
            use_dictionary=_DICTIONARY_COLUMNS,
        )
        self._group: list[Record] = []
        self._group_bytes = 0
        self._times: list[datetime] = []
        self.rows = 0
        self.text_bytes = 0

    def add(self, record: Record) -> None:
        size = text_bytes(record)
        self._group.append(record)
        self._group_bytes += size
        self.rows += 1
        self.text_bytes += size
        self._see_time(time_of(record))
        if len(self._group) >= _GROUP_ROWS or self._group_bytes >= _GROUP_TEXT_BYTES:
            self._write_group()

    def close(self) -> DataFile:
        """Returns when the bytes are on the disk under their final name."""
        self._write_group()
        self._writer.close()
        self._sink.sync_and_close()
        sha256 = self._sink.sha256
        path = self._path.rename(self._path.with_name(f"memories-{sha256[:16]}.parquet"))
        return DataFile(
            name=path.name,
            format="parquet",
            bytes=path.stat().st_size,
            sha256=sha256,
            rows=self.rows,
            min_time=min(self._times, default=None),
            max_time=max(self._times, default=None),
        )

    def _write_group(self) -> None:
        if self._group:
            self._writer.write_batch(to_batch(self._group), row_group_size=_GROUP_ROWS)
        self._group = []
        self._group_bytes = 0

    def _see_time(self, time: datetime | None) -> None:
        if time is not None:
            known = [*self._times, time]
            self._times = [min(known), max(known)]


def text_bytes(record: Record) -> int:
    """About what a record's free text weighs in memory; the rest of a record is small."""
    return len(record.text or "") + len(record.metadata)


def read_records(path: Path) -> Iterator[Record]:
    """The records of a snapshot's Parquet file as they were written, without their vectors.

    Raises `SnapshotInvalid` where the file is not what was written.
    """
    columns = [name for name in RECORD_SCHEMA.names if name != "embedding"]
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_GROUP_ROWS, columns=columns):
                for row in batch.to_pylist():
                    yield Record(**{**row, "tags": tuple(row["tags"])})
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise SnapshotInvalid(f"{path} cannot be read any more: {error}") from error


class _HashingFile:
    """A write-only file that hashes what passes; Parquet writers never seek."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    @property
    def closed(self) -> bool:
        return self._file.closed

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        return self._file.write(data)

    def tell(self) -> int:
        return self._file.tell()

    def flush(self) -> None:
        self._file.flush()

    def writable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()

    def sync_and_close(self) -> None:
        if not self._file.closed:
            self._file.flush()
            os.fsync(self._file.fileno())
        self._file.close()
