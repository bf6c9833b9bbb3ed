"""The record: what its hash covers, and what `conform` lets through."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recall_wire.errors import SnapshotInvalid
from recall_wire.records import RECORD_SCHEMA, Record, conform, text_hash, to_batch

_FULL = Record(
    memory_id="m",
    kind="insight",
    text="text",
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    updated_at=datetime(2026, 1, 2, tzinfo=UTC),
    project="p",
    namespace="n",
    session_id="s",
    agent_id="a",
    user_id="u",
    tags=("t",),
    importance=0.5,
    parent_id="q",
    metadata='{"k":1}',
    embedding=(1.0, 2.0),
    op="upsert",
    target_system="o",
    base_version="v",
)


def _batch(**columns: object) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"memory_id": ["a"], **columns})


def test_the_schema_is_the_record() -> None:
    assert [field.name for field in fields(Record)] == RECORD_SCHEMA.names


@pytest.mark.parametrize("name", [field.name for field in fields(Record)])
def test_the_hash_covers_every_field_but_the_vector(name: str) -> None:
    changed: Any = ("x",) if name == "tags" else None
    other = replace(_FULL, **{name: changed})
    assert (other.row_hash() == _FULL.row_hash()) == (name == "embedding")


def test_the_hash_is_of_the_moment_not_of_its_zone() -> None:
    elsewhere = _FULL.created_at and _FULL.created_at.astimezone(timezone(timedelta(hours=5)))
    assert replace(_FULL, created_at=elsewhere).row_hash() == _FULL.row_hash()
    assert _FULL.row_hash().hex() == "fd6119e9e016e81b17c40910d121bdb6"


def test_a_batch_gives_the_rows_back() -> None:
    rows = [_FULL, Record("b")]
    batch = to_batch(rows)
    assert batch.schema == RECORD_SCHEMA
    assert [
        Record(**{**row, "tags": tuple(row["tags"]), "embedding": row["embedding"] and (1.0, 2.0)})
        for row in batch.to_pylist()
    ] == rows
    assert conform(batch, embedding_dim=2) == batch
    assert to_batch([]).num_rows == 0


@given(st.text())
def test_texts_that_look_alike_share_a_vector(text: str) -> None:
    assert text_hash(f"  {text}\n") == text_hash(text)
    assert text_hash(f"{text} x") != text_hash(text)


@pytest.mark.parametrize("text", [None, "", " \n\t", "\0\0\0", "\0 \0"])
def test_texts_with_nothing_to_embed(text: str | None) -> None:
    assert text_hash(text) is None


def test_one_text_in_two_unicode_forms() -> None:
    assert text_hash("cafe\u0301") == text_hash("café")


def test_absent_columns_get_their_defaults() -> None:
    [row] = conform(_batch()).to_pylist()
    assert (row["kind"], row["op"], row["tags"], row["metadata"]) == ("note", "upsert", [], "{}")
    assert row["text"] is None


def test_an_empty_batch_conforms() -> None:
    for dim in (None, 3):
        assert conform(to_batch([]), embedding_dim=dim).num_rows == 0


@pytest.mark.parametrize(
    ("value", "expected"), [(2.0, 1.0), (-1.0, 0.0), (float("nan"), None), (None, None), (0.5, 0.5)]
)
def test_importance_is_between_0_and_1(value: float | None, expected: float | None) -> None:
    column = pa.array([value], pa.float32())
    assert conform(_batch(importance=column))["importance"].to_pylist() == [expected]


def test_tags_and_metadata_that_are_null() -> None:
    batch = _batch(
        tags=pa.array([None], pa.list_(pa.string())), metadata=pa.array([None], pa.string())
    )
    [row] = conform(batch).to_pylist()
    assert (row["tags"], row["metadata"]) == ([], "{}")


def test_vectors_without_a_declared_space_are_dropped() -> None:
    batch = _batch(embedding=[[1.0, float("nan")]])
    assert conform(batch)["embedding"].to_pylist() == [None]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"embedding": [[1.0]]}, "an embedding has 1 numbers, the manifest declares 2"),
        ({"embedding": [[1.0, float("inf")]]}, "missing, NaN or infinite"),
        ({"embedding": [[1.0, None]]}, "missing, NaN or infinite"),
        ({"memory_id": [None]}, "memory_id"),
        ({"memory_id": [""]}, "memory_id has 0 characters"),
        ({"memory_id": [1.5], "kind": ["x"]}, "kind 'x'"),
        ({"text": [{"a": 1}]}, "column text is"),
        ({"text": pa.array([b"\xff"])}, "text"),
    ],
)
def test_what_does_not_conform(columns: dict[str, object], reason: str) -> None:
    with pytest.raises(SnapshotInvalid, match=reason):
        conform(_batch(**columns), embedding_dim=2)


def test_a_column_that_is_there_twice() -> None:
    batch = pa.RecordBatch.from_arrays(
        [pa.array(["a"])] * 3, names=["memory_id", "project", "project"]
    )
    with pytest.raises(SnapshotInvalid, match="project is there 2 times"):
        conform(batch)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_naive_times_are_utc(unit: str) -> None:
    factor = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    column = pa.array([1767225600 * factor], pa.timestamp(unit))
    assert conform(_batch(created_at=column))["created_at"].to_pylist() == [
        datetime(2026, 1, 1, tzinfo=UTC)
    ]
