"""Embeddings, one per distinct text and space, and the backlog that is derived from them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recall_daemon.store.store import Connection, next_numbers

# The model reads 256 tokens, found in at most a quarter of this.
EMBEDDED_CHARS = 262_144

# A text is in the backlog when a live row has it and the space has no vector for it: nothing is
# queued anywhere, so a crash loses nothing.
_BACKLOG = """
FROM memories m
WHERE m.state = 'live' AND m.text_hash IS NOT NULL
  AND m.text_hash NOT IN (SELECT unnest($besides::VARCHAR[]))
  AND NOT EXISTS (
      SELECT 1 FROM passages v WHERE v.space_id = $space_id AND v.text_hash = m.text_hash)
"""

# Which texts wait is found from their hashes alone; then the texts of just those are read.
_LOOK_UP = f"""
WITH waiting AS MATERIALIZED (
    SELECT m.text_hash, min(m.change_no) AS change_no {_BACKLOG}
    GROUP BY m.text_hash ORDER BY change_no LIMIT $limit
)
SELECT w.text_hash, left(m.text, {EMBEDDED_CHARS})
FROM waiting w JOIN memories m USING (change_no) ORDER BY w.change_no
"""


@dataclass(frozen=True)
class Pending:
    """A text that waits for its vector."""

    text_hash: str
    text: str


def backlog(
    connection: Connection, space_id: str, limit: int, *, besides: Collection[str] = ()
) -> list[Pending]:
    """At most `limit` distinct texts without a vector in the space, oldest change first.

    Those whose hash is in `besides` are left out. Of a longer text only the beginning comes back:
    more than any model reads.
    """
    rows = connection.execute(
        _LOOK_UP, {"space_id": space_id, "limit": limit, "besides": list(besides)}
    ).fetchall()
    return [Pending(*row) for row in rows]


def backlog_size(connection: Connection, space_id: str, *, besides: Collection[str] = ()) -> int:
    """How many distinct texts wait for a vector in the space; reads no text."""
    rows = connection.execute(
        f"SELECT count(DISTINCT m.text_hash) {_BACKLOG}",
        {"space_id": space_id, "besides": list(besides)},
    ).fetchall()
    return int(rows[0][0])


def put(
    connection: Connection,
    space_id: str,
    text_hashes: Sequence[str],
    vectors: NDArray[np.float32],
) -> None:
    """Store vectors of shape (len(text_hashes), dim) inside the running transaction. Idempotent.

    A text that no live row has any more, gone while it was being embedded, is left out.
    """
    rows = _table(text_hashes, vectors)
    first = next_numbers(connection, "change_no", len(text_hashes))
    connection.register("incoming", rows)
    try:
        connection.execute(
            "INSERT INTO store.passages "
            "SELECT ?, text_hash, 0, NULL, 0, NULL, ? + row_number() OVER () - 1, vector, "
            "NULL, NULL FROM incoming "
            "WHERE text_hash IN (SELECT text_hash FROM store.memories WHERE state = 'live') "
            "AND text_hash NOT IN (SELECT text_hash FROM store.passages WHERE space_id = ?)",
            [space_id, first, space_id],
        ).fetchall()
    finally:
        connection.unregister("incoming")


def take_from_snapshot(connection: Connection, space_id: str, rows: pa.Table) -> int:
    """Keep the vectors that came with rows whose declared space is the hub's own.

    `rows` has `text_hash` and `embedding`. Returns how many rows had one.
    """
    known = rows.filter(
        pa.compute.and_(
            pa.compute.is_valid(rows["embedding"]), pa.compute.is_valid(rows["text_hash"])
        )
    )
    if not known.num_rows:
        return 0
    _, first = np.unique(known["text_hash"].to_numpy(zero_copy_only=False), return_index=True)
    distinct = known.take(pa.array(np.sort(first)))
    flat = distinct["embedding"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    matrix = np.asarray(flat, dtype=np.float32).reshape(distinct.num_rows, -1)
    put(connection, space_id, distinct["text_hash"].to_pylist(), matrix)
    return int(known.num_rows)


def changes(connection: Connection, space_id: str, after: int, limit: int) -> pa.Table:
    """Passages of one space with a higher change_no than `after`, lowest first.

    Columns: change_no int64, text_hash string, passage int32, start_char int32, end_char int32?,
    vector fixed_size_list<float32>: of a warm or cold text what its code says.
    """
    rows = connection.sql(
        "SELECT change_no, text_hash, passage, start_char, end_char, vector, code, scale "
        "FROM passages WHERE space_id = ? AND change_no > ? ORDER BY change_no LIMIT ?",
        params=[space_id, after, limit],
    ).to_arrow_table()
    matrix = _decoded(rows["vector"], rows["code"], rows["scale"])
    flat = pa.array(matrix.ravel())
    fixed = pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1])
    return rows.drop_columns(["vector", "code", "scale"]).append_column("vector", fixed)


def quantised(vectors: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Codes of shape (n, dim) and scales of shape (n,): vector = code * scale, to 1/254 of its
    largest number. The codes of what codes say are the same codes."""
    scales = np.abs(vectors).max(axis=1, initial=0.0) / 127
    safe = np.where(scales > 0, scales, 1).astype(np.float32)
    return np.rint(vectors / safe[:, None]).astype(np.int8), safe


def _decoded(
    vectors: pa.ChunkedArray, codes: pa.ChunkedArray, scales: pa.ChunkedArray
) -> NDArray[np.float32]:
    """Shape (n, dim): each row from the one of the two that it has."""
    is_coded = codes.is_valid().to_numpy()
    plain, small = vectors.drop_null().combine_chunks(), codes.drop_null().combine_chunks()
    dim = len(plain[0]) if len(plain) else len(small[0]) if len(small) else 1
    matrix = np.empty((len(is_coded), dim), dtype=np.float32)
    matrix[~is_coded] = plain.flatten().to_numpy().reshape(-1, dim)
    factors = scales.drop_null().to_numpy()[:, None]
    matrix[is_coded] = small.flatten().to_numpy().reshape(-1, dim) * factors
    return matrix


def _table(text_hashes: Sequence[str], vectors: NDArray[np.float32]) -> pa.Table:
    dim = vectors.shape[1]
    flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).ravel())
    lists = pa.FixedSizeListArray.from_arrays(flat, dim)
    return pa.table({"text_hash": pa.array(text_hashes, pa.string()), "vector": lists})
