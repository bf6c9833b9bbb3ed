"""Parquet sources: columns by name, of any type."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recall_wire.errors import SourceInvalid
from recall_wire.formats import ReadOptions, open_source
from recall_wire.manifest import EmbeddingSpace
from recall_wire.records import Record, to_batch

Read = Callable[..., list[Record]]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def table(columns: dict[str, object], **options: object) -> Path:
        path = tmp_path / "rows.parquet"
        pq.write_table(pa.table(columns), path, **options)
        return path

    return table


def test_records_come_back_as_they_were(tmp_path: Path, read: Read) -> None:
    moment = datetime(2026, 1, 1, 2, 3, 4, 5, tzinfo=UTC)
    records = [
        Record("a", "insight", "text\0", moment, moment, "p", "n", "s", "g", "u", ("t",), 0.5, "q",
               '{"k":1}', None, "upsert", None, None),
        Record("b", "note", None, None, None, op="delete", target_system="x", base_version="v"),
        Record("c", text=""),
    ]  # fmt: skip
    pq.write_table(pa.Table.from_batches([to_batch(records)]), tmp_path / "r.parquet")
    assert read(tmp_path / "r.parquet") == records


@pytest.mark.parametrize(
    "times",
    [
        pa.array([1767225600], pa.timestamp("s")),
        pa.array([1767225600 * 10**9], pa.timestamp("ns", "America/Lima")),
        pa.array([1767225600 * 1000], pa.int64()),
        pa.array([1767225600.0]),
        pa.array(["2026-01-01"]),
        pa.array([20454], pa.date32()),
        pa.array(["2026-01-01 00:00"]).dictionary_encode(),
    ],
)
def test_times_of_any_type(write: Callable[..., Path], read: Read, times: pa.Array) -> None:
    [record] = read(write({"memory_id": ["a"], "created_at": times}))
    assert record.created_at == datetime(2026, 1, 1, tzinfo=UTC)


def test_times_beyond_the_year_9999_are_none(write: Callable[..., Path], read: Read) -> None:
    far = pa.array([2**62, None, -(2**62)], pa.timestamp("us"))
    records = read(write({"memory_id": ["a", "b", "c"], "created_at": far}))
    assert [record.created_at for record in records] == [None, None, None]


def test_invalid_utf8(write: Callable[..., Path], read: Read) -> None:
    broken = pa.array([b"caf\xe9"]).view(pa.string())
    tags = pa.ListArray.from_arrays([0, 1], broken)
    [record] = read(write({"memory_id": ["a"], "text": broken, "project": broken, "tags": tags}))
    assert (record.text, record.project, record.tags) == ("caf\ufffd", "caf\ufffd", ("caf\ufffd",))
    assert json.loads(record.metadata) == {"invalid_utf8_base64": "Y2Fm6Q=="}


def test_text_rules_and_extra_columns(write: Callable[..., Path], read: Read) -> None:
    path = write(
        {
            "memory_id": ["a", "b"],
            "content": ["c", None],
            "summary": ["s", "s2"],
            "x": pa.array([{"n": 1}, None]),
            "m": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
        }
    )
    first, second = read(path)
    assert (first.text, second.text) == ("c", "s2")
    assert json.loads(first.metadata)["extra"] == {"summary": "s", "x": {"n": 1}, "m": {"k": 1}}
    assert second.metadata == "{}"


def test_session_buddy_columns(write: Callable[..., Path], read: Read) -> None:
    path = write(
        {
            "id": [1, 2, 1, None],
            "content": ["a", "b", "c", "d"],
            "timestamp": pa.array([0, 1, 2, 3], pa.timestamp("s")),
            "access_count": [1, 2, 3, 4],
            "category": ["x", None, None, None],
        }
    )
    records = read(path)
    assert [(r.memory_id, r.kind, r.text) for r in records] == [
        ("2", "conversation", "b"),
        ("1", "conversation", "c"),
    ]
    assert records[1].created_at == datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC)


def test_vectors(write: Callable[..., Path], read: Read) -> None:
    path = write(
        {
            "memory_id": ["a", "b", "c"],
            "embedding": pa.array([[1, 2], [1], [float("nan"), 1]], pa.list_(pa.float32())),
        }
    )
    space = EmbeddingSpace(model="m", revision="r", dim=2, normalized=True)
    assert [r.embedding for r in read(path)] == [None, None, None]
    assert [r.embedding for r in read(path, embedding=space)] == [(1.0, 2.0), None, None]


def test_files_without_an_id_or_with_two(tmp_path: Path, write: Callable[..., Path]) -> None:
    with pytest.raises(SourceInvalid, match="no column memory_id"):
        open_source(write({"text": ["x"]}), ReadOptions())
    twice = pa.Table.from_arrays([pa.array(["a"])] * 2, names=["memory_id", "memory_id"])
    pq.write_table(twice, tmp_path / "twice.parquet")
    with pytest.raises(SourceInvalid, match="two columns of one name"):
        open_source(tmp_path / "twice.parquet", ReadOptions())


@pytest.mark.parametrize("keep", [4, 5, 12, 200, -1, -8, -9, -100])
def test_truncated_files(write: Callable[..., Path], read: Read, keep: int) -> None:
    path = write({"memory_id": [str(n) for n in range(1000)]})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(SourceInvalid, match="damaged or truncated Parquet"):
        read(path)


def test_a_damaged_page(write: Callable[..., Path], read: Read) -> None:
    path = write({"memory_id": [f"{n:032x}" for n in range(5000)]}, compression="zstd")
    data = bytearray(path.read_bytes())
    data[100:2000] = b"\xff" * 1900
    path.write_bytes(data)
    with pytest.raises(SourceInvalid, match="damaged or truncated Parquet"):
        read(path)
