"""A Parquet file's columns as Python values, a bounded number of bytes at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recall_wire.dictionaries import written_out
from recall_wire.errors import SourceInvalid, TerminalError
from recall_wire.formats import values

_BATCH_BYTES = 8 << 20
_BATCH_ROWS = 1024
_FOOTER_LIMITS = {"thrift_string_size_limit": 16 << 20, "thrift_container_size_limit": 1 << 20}


@contextmanager
def translated(path: Path, kind: type[TerminalError] = SourceInvalid) -> Iterator[None]:
    """Raises `kind` for what Arrow says about a file that is damaged or was never Parquet.

    Out of memory passes, as `MemoryError` and `pa.ArrowMemoryError`.
    """
    try:
        yield
    except (pa.ArrowMemoryError, MemoryError):
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError, KeyError) as error:
        said = " ".join(str(error).split())[:200]
        raise kind(f"{path.name} is a damaged or truncated Parquet file: {said}") from error


def open_parquet(path: Path) -> pq.ParquetFile:
    """A file whose footer is read; nothing else is yet.

    Text columns stay dictionaries where they are stored as such: a value of a megabyte that
    50,000 rows share is then read once, and `batches` sees how large the rows really are.
    """
    with pq.ParquetFile(path, memory_map=False, **_FOOTER_LIMITS) as file:
        columns = [file.schema.column(index) for index in range(file.metadata.num_columns)]
    texts = [c.path for c in columns if c.physical_type == "BYTE_ARRAY" and "." not in c.path]
    return pq.ParquetFile(
        path, memory_map=False, pre_buffer=False, read_dictionary=texts, **_FOOTER_LIMITS
    )


def uncompressed_bytes(file: pq.ParquetFile) -> int:
    """What the footer says; a dictionary counts once, however often its values are used."""
    groups = (file.metadata.row_group(index) for index in range(file.metadata.num_row_groups))
    return sum(group.total_byte_size for group in groups)


def batches(file: pq.ParquetFile, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """The columns in row order, at most 1,024 rows and about 8 MiB a batch, once decoded."""
    row_bytes = uncompressed_bytes(file) // max(1, file.metadata.num_rows)
    rows = max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(1, row_bytes)))
    for batch in file.iter_batches(batch_size=rows, columns=columns, use_threads=False):
        yield from _slices(batch)


def _slices(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    start = gathered = 0
    for row, size in enumerate(_decoded_bytes(batch)):
        if gathered + size > _BATCH_BYTES and row > start:
            yield batch.slice(start, row - start)
            start, gathered = row, 0
        gathered += size
    if batch.num_rows > start:
        yield batch.slice(start)


def _decoded_bytes(batch: pa.RecordBatch) -> list[int]:
    """What each row takes when every dictionary's value is written out."""
    texts = [column for column in batch.columns if isinstance(column.type, pa.DictionaryType)]
    others = sum(c.nbytes for c in batch.columns if not isinstance(c.type, pa.DictionaryType))
    sizes = [others // max(1, batch.num_rows)] * batch.num_rows
    for column in texts:
        lengths = pc.binary_length(column.dictionary).take(column.indices).to_pylist()
        sizes = [size + (length or 0) for size, length in zip(sizes, lengths, strict=True)]
    return sizes


def to_python(column: pa.Array) -> list[object]:
    """The column's values: text as bytes (a file may hold what is no UTF-8), times naive or aware.

    A time beyond the years Python knows is None.
    """
    column = _plain(column)
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _times(column)
    if _is_text(kind):
        return list(column.cast(pa.large_binary()).to_pylist())
    if pa.types.is_list(kind) and _is_text(kind.value_type):
        return list(column.cast(pa.list_(pa.large_binary())).to_pylist())
    if pa.types.is_map(kind):
        return [None if items is None else dict(items) for items in column.to_pylist()]
    return list(column.to_pylist())


def _plain(column: pa.Array) -> pa.Array:
    if isinstance(column.type, pa.DictionaryType):
        return _plain(written_out(column))
    if isinstance(column.type, pa.BaseExtensionType):
        return _plain(column.storage)
    return column


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _times(column: pa.Array) -> list[object]:
    zone = getattr(column.type, "tz", None)
    # `pa.int64` and not `to_pylist`: one time in the year 20000 must not end the whole read.
    micros = column.cast(pa.timestamp("us", tz=zone), safe=False).cast(pa.int64()).to_pylist()
    times = [values.naive_from_micros(value) for value in micros]
    return [values.as_utc(time) if zone and time else time for time in times]
