"""A store in memory that behaves as the real one: one counter, the newest state of each row."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from recall_wire.errors import TransientError

DIM = 4
TIME = pa.timestamp("us", tz="UTC")
ROW_SCHEMA = pa.schema(
    [
        ("row_id", pa.int64()),
        ("change_no", pa.int64()),
        ("live", pa.bool_()),
        ("system_id", pa.string()),
        ("memory_id", pa.string()),
        ("kind", pa.string()),
        ("text", pa.string()),
        ("text_hash", pa.string()),
        ("created_at", TIME),
        ("project", pa.string()),
        ("namespace", pa.string()),
        ("session_id", pa.string()),
        ("agent_id", pa.string()),
        ("user_id", pa.string()),
        ("tags", pa.list_(pa.string())),
        ("importance", pa.float32()),
        ("tier", pa.string()),
    ]
)
LIVE_COLUMNS = [
    name for name in ROW_SCHEMA.names if name not in ("live", "memory_id", "text", "tier")
]


def hash_of(text: str | None) -> str | None:
    return None if text is None else hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class Row:
    row_id: int
    change_no: int = 0
    live: bool = True
    system_id: str = "alpha"
    memory_id: str = ""
    kind: str = "note"
    text: str | None = None
    text_hash: str | None = None
    created_at: datetime | None = None
    project: str | None = None
    namespace: str | None = None
    session_id: str | None = None
    agent_id: str | None = None
    user_id: str | None = None
    tags: Sequence[str] = ()
    seq: int = 1
    tier: str = "hot"
    importance: float | None = None
    summary: str | None = None
    text_missing: str | None = None


@dataclass
class MemoryStore:
    """Both protocols, `Feed` and `Texts`."""

    change_no: int = 0
    live_rows: dict[int, Row] = field(default_factory=dict)
    all_rows: dict[int, Row] = field(default_factory=dict)
    vectors: dict[str, list[tuple[int, int, int, list[float]]]] = field(default_factory=dict)
    page_rows: int = 1_000_000
    dim: int = DIM
    store_id: str = "a-store"
    space_id: str | None = "test@1:4"
    cold: dict[int, str] = field(default_factory=dict)
    bucket_is_away: bool = False
    opened: int | None = None

    def put(self, row_id: int, text: str | None = None, **fields: object) -> None:
        self.change_no += 1
        row = Row(
            row_id,
            self.change_no,
            text=text,
            memory_id=str(fields.pop("memory_id", f"m{row_id}")),
            text_hash=hash_of(text),
            **fields,  # type: ignore[arg-type]
        )
        self.live_rows[row_id] = self.all_rows[row_id] = row

    def delete(self, row_id: int) -> None:
        if row_id in self.live_rows:
            self.change_no += 1
            gone = replace(
                self.live_rows.pop(row_id), live=False, text=None, text_hash=None, tags=()
            )
            self.all_rows[row_id] = replace(gone, change_no=self.change_no)

    def embed(self, text: str, *vectors: Sequence[float]) -> None:
        """One vector a passage; each passage is ten characters long."""
        passages = []
        for number, vector in enumerate(vectors):
            self.change_no += 1
            passages.append((self.change_no, number, 10 * number, list(vector)))
        self.vectors[str(hash_of(text))] = passages

    def chill(self, row_id: int) -> None:
        """The row's text goes to the bucket; that is no change."""
        row = self.live_rows[row_id]
        self.cold[row_id] = str(row.text)
        self.live_rows[row_id] = self.all_rows[row_id] = replace(row, text=None, tier="cold")

    def cold_texts(self, row_ids: Sequence[int]) -> dict[int, str]:
        if self.bucket_is_away:
            raise TransientError("the bucket is away")
        return {row_id: self.cold[row_id] for row_id in row_ids if row_id in self.cold}

    def last_change(self) -> int:
        return self.change_no

    def live_fields(self) -> tuple[pa.Table, int]:
        return self._table(list(self.live_rows.values())).select(LIVE_COLUMNS), self.change_no

    def row_changes(self, after: int, limit: int) -> pa.Table:
        newer = sorted(
            (r for r in self.all_rows.values() if r.change_no > after), key=lambda r: r.change_no
        )[: min(limit, self.page_rows)]
        return self._table(newer)

    def rows_now(self, row_ids: Sequence[int]) -> pa.Table:
        return self._table([self.live_rows[i] for i in row_ids if i in self.live_rows])

    def _table(self, rows: Sequence[Row]) -> pa.Table:
        columns = {f.name: [getattr(row, f.name) for row in rows] for f in ROW_SCHEMA}
        columns["tags"] = [list(tags) for tags in columns["tags"]]
        return pa.table(columns, schema=ROW_SCHEMA)

    @property
    def opened_at(self) -> int:
        return self.change_no if self.opened is None else self.opened

    def vector_changes(self, space_id: str, after: int, limit: int) -> pa.Table:
        assert space_id == self.space_id
        newer = sorted(
            (no, h, number, start, vector)
            for h, passages in self.vectors.items()
            for no, number, start, vector in passages
            if no > after
        )[: min(limit, self.page_rows)]
        flat = np.asarray([row[4] for row in newer], dtype=np.float32).ravel()
        return pa.table(
            {
                "change_no": pa.array([row[0] for row in newer], pa.int64()),
                "text_hash": pa.array([row[1] for row in newer], pa.string()),
                "passage": pa.array([row[2] for row in newer], pa.int32()),
                "start_char": pa.array([row[3] for row in newer], pa.int32()),
                "end_char": pa.array([row[3] + 10 for row in newer], pa.int32()),
                "vector": pa.FixedSizeListArray.from_arrays(pa.array(flat), self.dim),
            }
        )

    def rows(self, row_ids: Sequence[int]) -> dict[int, Row]:
        return {i: self.live_rows[i] for i in row_ids if i in self.live_rows}

    def with_texts(self, rows: Mapping[int, Row]) -> dict[int, Row]:
        return dict(rows)

    def local_texts(self, row_ids: Sequence[int]) -> dict[int, str | None]:
        return {row_id: row.text for row_id, row in self.rows(row_ids).items()}

    def find_ids(self, ids: Sequence[str]) -> list[int]:
        return [
            i
            for i, row in self.live_rows.items()
            if row.memory_id in ids or f"{row.system_id}/{row.memory_id}" in ids
        ]


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def day():
    return lambda number: datetime(2026, 1, number, tzinfo=UTC)


@pytest.fixture(scope="session")
def new_store():
    return MemoryStore


@pytest.fixture
def small_segments(monkeypatch):
    """A tail is sealed at eight vectors, and hardly anything is small enough to be scanned."""
    monkeypatch.setattr("recall_daemon.index.vectors.TAIL_MIN", 8)
    monkeypatch.setattr("recall_daemon.index.vectors.CHUNK_VECTORS", 3)
    monkeypatch.setattr("recall_daemon.index.vectors_view.CHUNK_VECTORS", 3)
    monkeypatch.setattr("recall_daemon.index.codes.EXACT_MAX", 2)
