"""A snapshot's own data file: it keeps to its manifest and to the limits, or it is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recall_wire.errors import LimitExceeded, SnapshotInvalid
from recall_wire.formats.contract import Budget, read_contract
from recall_wire.records import RECORD_SCHEMA, Record, to_batch


def _write(path: Path, columns: dict[str, object], **options: object) -> Path:
    pq.write_table(pa.table(columns), path / "d.parquet", **options)
    return path / "d.parquet"


def _read(path: Path, *, rows: int | None = None, dim: int | None = None) -> pa.Table:
    batches = read_contract(path, rows=rows, embedding_dim=dim, budget=Budget(rows=50_000))
    return pa.Table.from_batches(batches, schema=RECORD_SCHEMA)


def test_rows_in_file_order(tmp_path: Path) -> None:
    records = [Record(f"m{n}", text=f"t{n}", embedding=(1.0, 2.0)) for n in range(5000)]
    path = tmp_path / "d.parquet"
    pq.write_table(pa.Table.from_batches([to_batch(records)]), path, row_group_size=700)
    table = _read(path, rows=5000, dim=2)
    assert table["memory_id"].to_pylist() == [f"m{n}" for n in range(5000)]
    assert table["embedding"][4999].as_py() == [1.0, 2.0]
    assert _read(path, rows=5000)["embedding"].null_count == 5000


def test_rows_other_than_the_manifest_says(tmp_path: Path) -> None:
    path = _write(tmp_path, {"memory_id": ["a", "b"]})
    with pytest.raises(SnapshotInvalid, match="has 2 rows, the manifest says 3"):
        _read(path, rows=3)


def test_limits_are_held_before_a_row_is_read(tmp_path: Path) -> None:
    path = _write(tmp_path, {"memory_id": [f"{n:032x}" for n in range(1000)]})
    with pytest.raises(LimitExceeded, match="1000 rows"):
        list(read_contract(path, rows=1000, embedding_dim=None, budget=Budget(rows=999)))
    with pytest.raises(LimitExceeded, match="more than one snapshot may"):
        list(
            read_contract(path, rows=1000, embedding_dim=None, budget=Budget(rows=1000, bytes=1000))
        )


def test_one_budget_for_all_files(tmp_path: Path) -> None:
    path = _write(tmp_path, {"memory_id": ["a", "b", "c"]})
    budget = Budget(rows=5)
    assert (
        sum(b.num_rows for b in read_contract(path, rows=3, embedding_dim=None, budget=budget)) == 3
    )
    with pytest.raises(LimitExceeded):
        list(read_contract(path, rows=3, embedding_dim=None, budget=budget))


def test_a_small_file_that_unpacks_to_gigabytes(tmp_path: Path) -> None:
    one = pa.array(["x" * 1_000_000])
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), one)
    path = _write(tmp_path, {"memory_id": [str(n) for n in range(20_000)], "text": text})
    assert path.stat().st_size < 1_000_000
    with pytest.raises(LimitExceeded, match="larger, once unpacked"):
        for _ in read_contract(
            path, rows=20_000, embedding_dim=None, budget=Budget(rows=20_000, bytes=100_000_000)
        ):
            pass


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"text": ["a"]}, "no column memory_id"),
        ({"memory_id": [""]}, "memory_id has 0 characters"),
        ({"memory_id": ["x" * 513]}, "memory_id has 513"),
        ({"memory_id": pa.array([None], pa.string())}, "memory_id has a row without a value"),
        ({"memory_id": ["a"], "text": [[1]]}, "column text is"),
        ({"memory_id": ["a"], "text": pa.array([b"\xff"]).view(pa.string())}, "not valid UTF-8"),
        ({"memory_id": ["a"], "kind": ["rumour"]}, "kind 'rumour'"),
        ({"memory_id": ["a"], "op": ["drop"]}, "op 'drop'"),
        ({"memory_id": ["a"], "metadata": ["[1]"]}, "metadata is not a JSON object"),
        ({"memory_id": ["a"], "metadata": ["{" * 99_999]}, "metadata is not a JSON object"),
        ({"memory_id": ["a"], "embedding": [[1.0]]}, "an embedding has 1 numbers"),
        ({"memory_id": ["a"], "embedding": [[1.0, float("nan")]]}, "NaN"),
        ({"memory_id": ["a"], "embedding": [[1.0, None]]}, "missing"),
        ({"memory_id": ["a"], "created_at": ["now"]}, "column created_at is"),
    ],
)
def test_what_breaks_the_contract(tmp_path: Path, columns: dict[str, object], reason: str) -> None:
    path = _write(tmp_path, columns)
    with pytest.raises(SnapshotInvalid, match=reason):
        _read(path, rows=1, dim=2)


def test_times_that_nothing_can_hold_are_null(tmp_path: Path) -> None:
    times = pa.array([2**62, 0, -(2**62)], pa.timestamp("us", "UTC"))
    table = _read(_write(tmp_path, {"memory_id": ["a", "b", "c"], "created_at": times}), rows=3)
    assert table["created_at"].to_pylist() == [None, datetime(1970, 1, 1, tzinfo=UTC), None]


def test_the_last_moment_of_the_year_9999_is_kept(tmp_path: Path) -> None:
    last = datetime.max.replace(tzinfo=UTC)
    times = pa.array([last], pa.timestamp("us", "UTC"))
    table = _read(_write(tmp_path, {"memory_id": ["a"], "created_at": times}), rows=1)
    assert table["created_at"].to_pylist() == [last]


@pytest.mark.parametrize("keep", [0, 4, 100, -1, -9])
def test_truncated_files(tmp_path: Path, keep: int) -> None:
    path = _write(tmp_path, {"memory_id": ["a"] * 100})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(SnapshotInvalid, match="damaged or truncated"):
        _read(path, rows=100)
