"""Dictionary-encoded Arrow columns, written out within bounds."""

from __future__ import annotations

import pyarrow as pa

# What Arrow may set aside at a time.
PIECE_BYTES = 64 << 20


def written_out(column: pa.DictionaryArray) -> pa.Array:
    """The column's values themselves, one a row.

    Arrow sets aside the mean length of the dictionary's values for every row: 4 GB for 1,000 rows
    of which one uses a value of 8 MB, and the others share a short one. So a few rows at a time.
    """
    values = column.dictionary
    mean_bytes = values.nbytes // max(len(values), 1)
    rows = max(PIECE_BYTES // max(mean_bytes, 1), 1)
    if len(column) <= rows:
        return column.cast(values.type)
    pieces = [column.slice(at, rows).cast(values.type) for at in range(0, len(column), rows)]
    return pa.concat_arrays(pieces)
