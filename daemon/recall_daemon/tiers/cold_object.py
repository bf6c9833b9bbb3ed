"""A cold file's bytes: written once, later read a row group at a time from the bytes alone.

Small row groups: one text costs one small range. Over 5,000 real texts of 316 characters the far
columns of a group are 10 KB at 64 rows, 18 KB at 128, 32 KB at 256, and the footer, which stays
here, 20, 10 and 5 bytes a row.
"""

from __future__ import annotations

import bisect
import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recall_daemon.store.cold_files import FAR, ColdFile

GROUP_ROWS = 128
GROUP_BYTES = 256 << 10
DIGEST_BYTES = 16

_TAIL_BYTES = 8  # the length of the metadata, and "PAR1"
_REPEATED = ("system_id", "kind", "project", "namespace", "session_id", "agent_id", "user_id")


@dataclass(frozen=True)
class Range:
    """Bytes [start, start + length) of an object."""

    start: int
    length: int


@dataclass(frozen=True)
class Layout:
    """Where things are in a cold file, read from its footer."""

    metadata: pq.FileMetaData
    size: int
    footer: bytes
    first_rows: Sequence[int]
    ranges: Sequence[Range]

    def group_of(self, row: int) -> int:
        return bisect.bisect_right(self.first_rows, row) - 1


def write(rows: pa.Table, path: Path) -> None:
    """Write rows in the order they have, to a new file."""
    with pq.ParquetWriter(
        path,
        rows.schema,
        compression="zstd",
        use_dictionary=list(_REPEATED),
        write_statistics=["row_id"],
        store_schema=False,
    ) as writer:
        for start, end in _groups(rows):
            writer.write_table(rows.slice(start, end - start), row_group_size=end - start)


def footer_of(data: bytes) -> bytes:
    """The footer, from the metadata on to the end of the file. `data` ends where the file does."""
    length = int.from_bytes(data[-_TAIL_BYTES:-4], "little") + _TAIL_BYTES
    return data[-length:]


def digests_of(data: bytes, layout: Layout) -> bytes:
    """`DIGEST_BYTES` for each row group of a whole file."""
    return b"".join(digest(data[r.start : r.start + r.length]) for r in layout.ranges)


def digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()


def expected(file: ColdFile, group: int) -> bytes:
    """The digest that the bytes of a row group must have."""
    return file.digests[group * DIGEST_BYTES : (group + 1) * DIGEST_BYTES]


def layout_of(size: int, footer: bytes) -> Layout:
    """Read a footer of a file of `size` bytes."""
    metadata = pq.read_metadata(_SparseFile(size, {size - len(footer): footer}))
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    firsts = accumulate((group.num_rows for group in groups), initial=0)
    return Layout(metadata, size, footer, list(firsts)[:-1], [_range(group) for group in groups])


def decode(layout: Layout, group: int, data: bytes) -> pa.Table:
    """The far columns of a row group from exactly its bytes."""
    start = layout.ranges[group].start
    pieces = {start: data, layout.size - len(layout.footer): layout.footer}
    file = pq.ParquetFile(_SparseFile(layout.size, pieces), metadata=layout.metadata)
    return file.read_row_group(group, columns=list(FAR), use_threads=False)


def _groups(rows: pa.Table) -> Iterator[tuple[int, int]]:
    """At most `GROUP_ROWS` rows and, past the first, `GROUP_BYTES` of their far columns each."""
    ends = np.cumsum(sum(_lengths(rows[name]) for name in FAR))
    start = 0
    while start < rows.num_rows:
        so_far = ends[start - 1] if start else 0
        full = int(np.searchsorted(ends, so_far + GROUP_BYTES, side="right"))
        end = min(max(full, start + 1), start + GROUP_ROWS, rows.num_rows)
        yield start, end
        start = end


def _lengths(column: pa.ChunkedArray) -> NDArray[np.int64]:
    return np.asarray(pa.compute.fill_null(pa.compute.binary_length(column), 0), dtype=np.int64)


def _range(group: pq.RowGroupMetaData) -> Range:
    columns = [group.column(number) for number in range(group.num_columns)]
    far = [column for column in columns if column.path_in_schema in FAR]
    starts = [column.dictionary_page_offset or column.data_page_offset for column in far]
    ends = [s + column.total_compressed_size for s, column in zip(starts, far, strict=True)]
    return Range(min(starts), max(ends) - min(starts))


class _SparseFile(io.RawIOBase):
    """A file of `size` bytes of which only some are here; reading any others is an error."""

    def __init__(self, size: int, pieces: dict[int, bytes]) -> None:
        self._size = size
        self._pieces = pieces
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = base + offset
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        size = -1 if size is None else size
        wanted = self._size - self._at if size < 0 else min(size, self._size - self._at)
        data = self._piece(wanted)
        self._at += len(data)
        return data

    def _piece(self, wanted: int) -> bytes:
        for start, piece in self._pieces.items():
            if start <= self._at and self._at + wanted <= start + len(piece):
                return piece[self._at - start : self._at - start + wanted]
        # pyarrow looks at the last 64 KiB for the metadata: what lies before it is not looked at.
        start, piece = max(self._pieces.items())
        if self._at + wanted == self._size == start + len(piece):
            return bytes(wanted - len(piece)) + piece
        raise OSError(f"bytes {self._at} to {self._at + wanted} are not here")
