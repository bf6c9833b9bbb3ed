"""A fitted row is what its snapshot gives back."""

from __future__ import annotations

import itertools
import math
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from recall_uploader.fit import bound, check_targets, fit
from recall_uploader.snapshot_file import SnapshotFile, read_records
from recall_wire.errors import SnapshotInvalid, SourceInvalid
from recall_wire.manifest import EmbeddingSpace
from recall_wire.records import Record

SPACE = EmbeddingSpace(model="m", revision="r", dim=2, normalized=True)
ROWS = [
    Record("a", text="nul \0, lines\r\n and 東京", importance=0.7, tags=("x", "")),
    Record("b", importance=0.1, created_at=datetime(1, 1, 1, tzinfo=UTC)),
    Record("c", updated_at=datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=9)))),
    Record("d", text="", metadata='{"k": [1.5]}', parent_id="a", op="delete"),
    Record("e", updated_at=datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
]


def test_hashes_survive_the_way_through_parquet(tmp_path: Path) -> None:
    fitted = list(fit(ROWS, None))
    file = SnapshotFile(tmp_path)
    for row in fitted:
        file.add(row)
    written = file.close()

    back = list(read_records(tmp_path / written.name))

    assert [row.row_hash() for row in back] == [row.row_hash() for row in fitted]
    assert list(fit(back, None)) == back
    assert (written.rows, written.max_time) == (5, ROWS[4].updated_at)


def test_a_file_that_was_cut_says_so(tmp_path: Path) -> None:
    file = SnapshotFile(tmp_path)
    file.add(ROWS[0])
    path = tmp_path / file.close().name
    path.write_bytes(path.read_bytes()[:-20])

    with pytest.raises(SnapshotInvalid, match="cannot be read any more"):
        list(read_records(path))


@pytest.mark.parametrize(
    ("vector", "kept"),
    [((1.0, 0.0), True), ((1.0,), False), ((), False), ((math.nan, 1.0), False)],
)
def test_only_a_vector_of_the_declared_space_is_kept(vector: tuple[float, ...], kept: bool) -> None:
    (row,) = fit([Record("a", embedding=vector)], SPACE)
    assert row.embedding == (vector if kept else None)
    (row,) = fit([Record("a", embedding=vector)], None)
    assert row.embedding is None


@pytest.mark.parametrize(("value", "fitted"), [(7.0, 1.0), (-1.0, 0.0), (math.nan, None)])
def test_importance_is_in_the_unit_interval(value: float, fitted: float | None) -> None:
    (row,) = fit([Record("a", importance=value)], None)
    assert row.importance == fitted


def test_a_source_that_unpacks_without_end_is_refused() -> None:
    endless = (Record(str(n), text="x" * 1000) for n in itertools.count())
    with pytest.raises(SourceInvalid, match="unpacks to more than 10000 bytes"):
        list(bound(endless, 10_000))
    assert len(list(bound([Record("m", text="x" * 10_000)], 10_000))) == 1


def test_a_row_of_another_system_is_refused_before_it_takes_others_with_it() -> None:
    rows = [Record("mine", target_system="me"), Record("theirs", target_system="them")]
    assert list(check_targets(rows[:1], "me")) == rows[:1]
    with pytest.raises(SourceInvalid, match="'theirs' addresses memories of another system"):
        list(check_targets(rows, "me"))
