"""A row group is read from exactly its own bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recall_daemon.tiers import cold_object
from recall_daemon.tiers.cold_object import GROUP_BYTES, GROUP_ROWS, Layout

TEXTS = [f"text {n} " * (n % 30) for n in range(1_000)]
ODD = [None, "", "\0", "😀" * 50, "x" * (3 * GROUP_BYTES), None, "after"]


def rows_of(texts: list[str | None]) -> pa.Table:
    count = len(texts)
    return pa.table(
        {
            "row_id": pa.array(range(count), pa.int64()),
            "tags": pa.array([["a", "b"]] * count, pa.list_(pa.string())),
            "text": pa.array(texts, pa.string()),
            "metadata": pa.array([f'{{"k": {n}}}' for n in range(count)], pa.string()),
        }
    )


def written(folder: Path, texts: list[str | None]) -> tuple[bytes, Layout]:
    cold_object.write(rows_of(texts), folder / "f")
    data = (folder / "f").read_bytes()
    return data, cold_object.layout_of(len(data), cold_object.footer_of(data))


@pytest.mark.parametrize("texts", [TEXTS, ODD, [None], ["one"]])
def test_every_row_comes_back_from_its_group_alone(tmp_path: Path, texts: list[str | None]) -> None:
    data, layout = written(tmp_path, texts)
    found: list[Any] = []
    for group, span in enumerate(layout.ranges):
        found += cold_object.decode(
            layout, group, data[span.start : span.start + span.length]
        ).to_pylist()
    assert [row["text"] for row in found] == texts
    assert [row["metadata"] for row in found] == [f'{{"k": {n}}}' for n in range(len(texts))]
    for row in range(len(texts)):
        group = layout.group_of(row)
        assert layout.first_rows[group] <= row
        assert group + 1 == len(layout.ranges) or row < layout.first_rows[group + 1]


def test_groups_are_bounded_in_rows_and_bytes(tmp_path: Path) -> None:
    data, layout = written(tmp_path, TEXTS)
    ends = [*layout.first_rows[1:], len(TEXTS)]
    sizes = [end - start for start, end in zip(layout.first_rows, ends, strict=True)]
    assert max(sizes) == GROUP_ROWS
    assert len(cold_object.digests_of(data, layout)) == 16 * len(sizes)
    large = [str(n) * (GROUP_BYTES // 3 - 10) for n in range(9)]
    assert len(written(tmp_path, large)[1].ranges) == 3
    rows = rows_of(["short"] * 9)
    metadata = rows.schema.get_field_index("metadata")
    cold_object.write(rows.set_column(metadata, "metadata", pa.array(large)), tmp_path / "m")
    assert pq.read_metadata(tmp_path / "m").num_row_groups == 3


def test_the_file_is_plain_parquet(tmp_path: Path) -> None:
    written(tmp_path, TEXTS)
    assert pq.read_table(tmp_path / "f").equals(rows_of(TEXTS))


def test_bytes_that_are_not_here_are_an_error(tmp_path: Path) -> None:
    data, layout = written(tmp_path, TEXTS)
    span = layout.ranges[0]
    with pytest.raises(OSError, match=r"not here|end of stream"):
        cold_object.decode(layout, 1, data[span.start : span.start + span.length])
