"""A Parquet file's columns as Python values, a bounded number of bytes at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from recall_wire.errors import SourceInvalid, TerminalError
from recall_wire.formats import values

_BATCH_BYTES = 8 << 20
_BATCH_ROWS = 1024
_FOOTER_MAX_STRINGS = 16 << 20
_FOOTER_MAX_ITEMS = 1 << 20


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
    """A file whose footer is read; nothing else is yet."""
    return pq.ParquetFile(
        path,
        memory_map=False,
        pre_buffer=False,
        thrift_string_size_limit=_FOOTER_MAX_STRINGS,
        thrift_container_size_limit=_FOOTER_MAX_ITEMS,
    )


def uncompressed_bytes(file: pq.ParquetFile) -> int:
    """What the footer says; a dictionary counts once, however often its values are used."""
    groups = (file.metadata.row_group(index) for index in range(file.metadata.num_row_groups))
    return sum(group.total_byte_size for group in groups)


def batches(file: pq.ParquetFile, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """The columns in row order, about 8 MiB a batch as far as the footer tells."""
    row_bytes = uncompressed_bytes(file) // max(1, file.metadata.num_rows)
    rows = max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(1, row_bytes)))
    yield from file.iter_batches(batch_size=rows, columns=columns, use_threads=False)


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
        return _plain(column.cast(column.type.value_type))
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
