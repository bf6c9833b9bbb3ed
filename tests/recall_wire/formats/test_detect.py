"""A file is what its first bytes say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recall_wire.errors import SourceInvalid
from recall_wire.formats import ReadOptions, open_source


def _type(path: Path) -> str:
    with open_source(path, ReadOptions()) as source:
        return source.type


def test_by_content_whatever_the_suffix(database: Callable[..., Path], tmp_path: Path) -> None:
    pq.write_table(pa.table({"memory_id": ["a"]}), tmp_path / "memory.duckdb.bak")
    (tmp_path / "rows.parquet").write_text('{"memory_id": "a"}\n')
    assert _type(database("CREATE TABLE conversations (id INT)", name="x.jsonl")) == "session-buddy"
    assert _type(tmp_path / "memory.duckdb.bak") == "records-parquet"
    assert _type(tmp_path / "rows.parquet") == "records-jsonl"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"\0" * 500, "empty"),
        (b"SQLite format 3\0" + b"\0" * 100, "an SQLite database"),
        (b"hello world\n" * 100, "no DuckDB, Parquet or JSON Lines file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "no DuckDB, Parquet or JSON Lines file"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_files_of_another_kind(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(SourceInvalid, match=reason) as caught:
        open_source(path, ReadOptions())
    assert "\n" not in str(caught.value)


def test_a_path_that_leads_nowhere(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(SourceInvalid, match="cannot be read"):
            open_source(path, ReadOptions())
