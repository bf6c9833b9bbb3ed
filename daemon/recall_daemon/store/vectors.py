"""Passages: the vectors of each distinct text in each space."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recall_daemon.store.store import Connection, next_numbers


@dataclass(frozen=True)
class Embedded:
    """A text's passages: characters [start, end) of each, and their vectors (len(spans), dim).

    `row_id`: a row that said it when it was read; where it still does, nobody has to look for one.
    """

    text_hash: str
    spans: Sequence[tuple[int, int]]
    vectors: NDArray[np.float32]
    row_id: int = 0


def put(connection: Connection, space_id: str, texts: Sequence[Embedded]) -> None:
    """Store the passages of texts inside the running transaction; earlier ones of them go.

    Each passage takes a new change_no, ascending, passage 0 of its text first. A text that no
    live row has any more, gone while it was being embedded, is left out; of one with no hot row
    the codes are stored. Idempotent. Raises ValueError for a text without passages.
    """
    if any(not text.spans or len(text.spans) != len(text.vectors) for text in texts):
        raise ValueError("each text needs one span for each of its vectors, and at least one")
    temperature = _hot(connection, [text.row_id for text in texts if text.row_id])
    others = [text.text_hash for text in texts if text.text_hash not in temperature]
    temperature.update(_temperature(connection, others) if others else {})
    kept = {text.text_hash: text for text in texts if text.text_hash in temperature}
    if not kept:
        return
    connection.execute(
        "DELETE FROM store.passages "
        "WHERE space_id = ? AND text_hash IN (SELECT unnest(?::VARCHAR[]))",
        [space_id, list(kept)],
    ).fetchall()
    rows = _Rows([], [], [], [], [])
    for text in kept.values():
        for passage, (start, end) in enumerate(text.spans):
            rows.add(text.text_hash, passage, len(text.spans), start, end)
    matrix = np.concatenate([text.vectors for text in kept.values()])
    _insert(connection, space_id, rows, matrix, temperature)


def confirm(connection: Connection, space_id: str, texts: Sequence[tuple[str, int]]) -> None:
    """Vectors that came along cover their whole text: (text_hash, its end_char) of each.

    No change that an index has to hear of. Idempotent.
    """
    hashes, ends = zip(*texts, strict=True) if texts else ((), ())
    connection.execute(
        "UPDATE store.passages SET passages = 1, end_char = looked_at.end_char FROM ("
        "    SELECT unnest(?::VARCHAR[]) AS text_hash, unnest(?::INTEGER[]) AS end_char"
        ") looked_at "
        "WHERE passages.space_id = ? AND passages.passage = 0 AND passages.passages IS NULL "
        "AND passages.text_hash = looked_at.text_hash",
        [list(hashes), list(ends), space_id],
    ).fetchall()


def embedded(connection: Connection, space_id: str, text_hashes: Collection[str]) -> set[str]:
    """Those of the texts that have their passages in the space. Read-only."""
    rows = connection.execute(
        "SELECT text_hash FROM passages WHERE space_id = ? AND passage = 0 "
        "AND passages IS NOT NULL AND text_hash IN (SELECT unnest(?::VARCHAR[]))",
        [space_id, list(text_hashes)],
    ).fetchall()
    return {str(row[0]) for row in rows}


def take_from_snapshot(connection: Connection, space_id: str, rows: pa.Table) -> int:
    """Keep the vectors that came with rows whose declared space is the hub's own.

    `rows` has `text_hash` and `embedding`. A text that has passages keeps them. How far a vector
    reaches is left open, for the backlog to look at. Returns how many rows had one.
    """
    known = rows.filter(
        pa.compute.and_(
            pa.compute.is_valid(rows["embedding"]), pa.compute.is_valid(rows["text_hash"])
        )
    )
    if not known.num_rows:
        return 0
    hashes = known["text_hash"].to_pylist()
    temperature = _temperature(connection, hashes)
    place: dict[str, int] = {}
    for at, text_hash in enumerate(hashes):
        place.setdefault(text_hash, at)
    here = _embedded(connection, space_id, hashes)
    kept = [text_hash for text_hash in place if text_hash in temperature and text_hash not in here]
    if kept:
        taken = known.take(pa.array([place[text_hash] for text_hash in kept]))["embedding"]
        flat = taken.combine_chunks().flatten().to_numpy(zero_copy_only=False)
        matrix = np.asarray(flat, dtype=np.float32).reshape(len(kept), -1)
        nothing: list[int | None] = [None] * len(kept)
        rows_ = _Rows(kept, [0] * len(kept), nothing, [0] * len(kept), nothing)
        _insert(connection, space_id, rows_, matrix, temperature)
    return int(known.num_rows)


def changes(connection: Connection, space_id: str, after: int, limit: int) -> pa.Table:
    """Passages of one space with a higher change_no than `after`, lowest first.

    Columns: change_no int64, text_hash string, passage int32, start_char int32, end_char int32?,
    vector fixed_size_list<float32>: of a warm or cold text what its code says.
    """
    return _changes(connection, "change_no > ? ORDER BY change_no LIMIT ?", space_id, after, limit)


def changes_of(connection: Connection, space_id: str, text_hashes: Sequence[str]) -> pa.Table:
    """All passages of some texts, as `changes` gives them."""
    these = "text_hash IN (SELECT unnest(?::VARCHAR[])) ORDER BY change_no"
    return _changes(connection, these, space_id, list(text_hashes))


def _changes(connection: Connection, which: str, *values: object) -> pa.Table:
    rows = connection.sql(
        "SELECT change_no, text_hash, passage, start_char, end_char, vector, code, scale "
        f"FROM passages WHERE space_id = ? AND {which}",
        params=list(values),
    ).to_arrow_table()
    matrix = _decoded(rows["vector"], rows["code"], rows["scale"])
    flat = pa.array(matrix.ravel())
    fixed = pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1])
    return rows.drop_columns(["vector", "code", "scale"]).append_column("vector", fixed)


def of_texts(connection: Connection, space_id: str, text_hashes: Sequence[str]) -> pa.Table:
    """The passages of some texts, text by text in their order: text_hash, change_no, vector as in
    `changes`, and scale float32, null where the vector is no code."""
    rows = connection.sql(
        "SELECT text_hash, change_no, vector, code, scale FROM passages "
        "WHERE space_id = ? AND text_hash IN (SELECT unnest(?::VARCHAR[])) "
        "ORDER BY text_hash, passage",
        params=[space_id, list(text_hashes)],
    ).to_arrow_table()
    matrix = _decoded(rows["vector"], rows["code"], rows["scale"])
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), matrix.shape[1])
    return rows.drop_columns(["vector", "code"]).append_column("vector", fixed)


def quantised(vectors: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Codes of shape (n, dim) and scales of shape (n,): vector = code * scale, to 1/254 of its
    largest number. The codes of what codes say are the same codes. A vector with NaN or infinity
    is one of NaNs afterwards."""
    scales = np.abs(vectors).max(axis=1, initial=0.0) / 127
    scales[scales == 0] = 1
    scales[~np.isfinite(scales)] = np.nan
    codes = np.rint(vectors / scales[:, None].astype(np.float32))
    return np.nan_to_num(codes, nan=0).astype(np.int8), scales.astype(np.float32)


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


def _hot(connection: Connection, row_ids: Sequence[int]) -> dict[str, bool]:
    """The texts of those rows that are live and hot, each with True."""
    rows = connection.execute(
        "SELECT text_hash FROM store.memories WHERE state = 'live' AND tier = 'hot' "
        "AND text_hash IS NOT NULL AND row_id IN (SELECT unnest(?::BIGINT[]))",
        [list(row_ids)],
    ).fetchall()
    return dict.fromkeys((text_hash for (text_hash,) in rows), True)


def _temperature(connection: Connection, text_hashes: Sequence[str]) -> dict[str, bool]:
    """Of those texts that a live row has: whether one of these rows is hot."""
    rows = connection.execute(
        "SELECT text_hash, bool_or(tier = 'hot') FROM store.memories "
        "WHERE state = 'live' AND text_hash IN (SELECT unnest(?::VARCHAR[])) GROUP BY text_hash",
        [list(text_hashes)],
    ).fetchall()
    return dict(rows)


def _embedded(connection: Connection, space_id: str, text_hashes: Sequence[str]) -> set[str]:
    rows = connection.execute(
        "SELECT text_hash FROM store.passages "
        "WHERE space_id = ? AND passage = 0 AND text_hash IN (SELECT unnest(?::VARCHAR[]))",
        [space_id, list(text_hashes)],
    ).fetchall()
    return {row[0] for row in rows}


@dataclass(frozen=True)
class _Rows:
    """Rows of the table but for their vectors, column by column."""

    text_hash: list[str]
    passage: list[int]
    passages: list[int | None]
    start_char: list[int]
    end_char: list[int | None]

    def add(self, text_hash: str, passage: int, passages: int, start: int, end: int) -> None:
        self.text_hash.append(text_hash)
        self.passage.append(passage)
        self.passages.append(passages)
        self.start_char.append(start)
        self.end_char.append(end)


def _insert(
    connection: Connection,
    space_id: str,
    rows: _Rows,
    matrix: NDArray[np.float32],
    temperature: dict[str, bool],
) -> None:
    """Append rows with new change numbers in their order; `matrix` has shape (rows, dim)."""
    first = next_numbers(connection, "change_no", len(matrix))
    is_hot = np.array([temperature[text_hash] for text_hash in rows.text_hash])
    codes, scales = np.zeros(matrix.shape, np.int8), np.zeros(len(matrix), np.float32)
    codes[~is_hot], scales[~is_hot] = quantised(matrix[~is_hot])
    table = pa.table(
        {
            "text_hash": pa.array(rows.text_hash, pa.string()),
            "passage": pa.array(rows.passage, pa.int32()),
            "passages": pa.array(rows.passages, pa.int32()),
            "start_char": pa.array(rows.start_char, pa.int32()),
            "end_char": pa.array(rows.end_char, pa.int32()),
            "change_no": pa.array(range(first, first + len(matrix)), pa.int64()),
            "vector": _lists(matrix, is_null=~is_hot),
            "code": _lists(codes, is_null=is_hot),
            "scale": pa.array(scales, pa.float32(), mask=is_hot),
        }
    )
    connection.register("incoming_passages", table)
    try:
        connection.execute(
            "INSERT INTO store.passages BY NAME SELECT ? AS space_id, * FROM incoming_passages",
            [space_id],
        ).fetchall()
    finally:
        connection.unregister("incoming_passages")


def _lists(matrix: NDArray[np.generic], *, is_null: NDArray[np.bool_]) -> pa.Array:
    """Each row of the matrix as a list, or null."""
    flat = pa.array(np.ascontiguousarray(matrix).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1], mask=pa.array(is_null))
