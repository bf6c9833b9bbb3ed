"""A real store in a temporary folder, and rows as the reader hands them over."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from recall_daemon.store.store import Store
from recall_wire.records import Record, text_hash, to_batch

Rows = Callable[[Sequence[Record]], pa.Table]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "hub")
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def rows() -> Rows:
    """Records as one table with `row_no` and `text_hash`."""

    def make(records: Sequence[Record]) -> pa.Table:
        table = pa.Table.from_batches([to_batch(records)])
        hashes = [text_hash(record.text) for record in records]
        return table.append_column(
            "row_no", pa.array(range(len(records)), pa.int64())
        ).append_column("text_hash", pa.array(hashes, pa.string()))

    return make
