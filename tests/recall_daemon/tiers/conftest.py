"""A store with rows of every age, its tiers, and a bucket in memory that fails where it is told."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recall_daemon.settings import HubSettings
from recall_daemon.store import audit, ledger, pending, vectors
from recall_daemon.store.ledger import Entry, Place
from recall_daemon.store.memories import StoredRow, by_row_ids
from recall_daemon.store.merge import merge_rows
from recall_daemon.store.store import Store
from recall_daemon.store.vectors import Embedded
from recall_daemon.tiers.build import build_tiers
from recall_daemon.tiers.tiers import Tiers
from recall_wire.buckets.base import Bucket
from recall_wire.records import Record, text_hash

sys.path.insert(0, str(Path(__file__).parents[2] / "recall_wire" / "buckets"))  # fake_bucket

from fake_bucket import FakeBucket

START = datetime(2026, 1, 1, tzinfo=UTC)
SPACE = "test@1:4"
Rows = Callable[[Sequence[Record]], Any]


@dataclass
class World:
    """A hub's store and tiers, with a clock that stands still until it is moved."""

    folder: Path
    with_store: Callable[[Path], Path]
    rows: Rows
    bucket: Bucket
    settings: dict[str, object] = field(default_factory=dict)
    now: datetime = START
    seq: int = 0

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        self.store = Store(self.with_store(self.folder / "hub"))
        self.store.write(lambda c: ledger.set_fact(c, "hub_id", "h1"))
        values: dict[str, Any] = {"data_dir": self.folder / "hub"} | self.settings
        self.tiers: Tiers = build_tiers(
            HubSettings(**values),
            self.store,
            now=lambda: self.now,
            space_id=lambda: SPACE,
            bucket=self.bucket,
            sleep=lambda _: None,
        )

    def close(self) -> None:
        self.tiers.close()
        self.store.close()

    def reopen(self) -> None:
        self.close()
        self.open()

    def merge(self, records: Sequence[Record], *, embed: bool = True) -> None:
        """A snapshot of system `a`, merged now, its texts embedded."""
        self.seq += 1
        place = Place("a", self.seq)
        count = len(records)
        entry = Entry(
            place,
            "bucket",
            "",
            "merged",
            self.now,
            rows=count,
            rows_done=count,
            settled_at=self.now,
        )

        def work(connection: Any) -> None:
            ledger.see_system(connection, "a", self.now)
            ledger.record(connection, entry)
            merge_rows(connection, place, self.rows(records), self.now)

        self.store.write(work)
        if embed:
            self.embed()

    def embed(self) -> None:
        with self.store.read() as connection:
            waiting = pending.backlog(connection, SPACE, 100_000)
        texts = [
            Embedded(p.text_hash, [(0, len(p.text))], vector_of(p.text)[None, :])
            for p in waiting
            if p.text is not None
        ]
        self.store.write(lambda c: vectors.put(c, SPACE, texts))

    def pass_days(self, days: float) -> None:
        self.now += timedelta(days=days)

    def all_rows(self) -> dict[str, StoredRow]:
        with self.store.read() as connection:
            ids = connection.execute(
                "SELECT row_id FROM memories WHERE state = 'live' ORDER BY row_id"
            ).fetchall()
            found = by_row_ids(connection, [row[0] for row in ids])
        return {row.memory_id: row for row in found.values()}

    def tier_of(self) -> dict[str, str]:
        return {memory_id: row.tier for memory_id, row in self.all_rows().items()}

    def read(self) -> dict[str, StoredRow]:
        """Every live row with its text, as a search would have it."""
        rows = {row.row_id: row for row in self.all_rows().values()}
        return {row.memory_id: row for row in self.tiers.texts.with_texts(rows).values()}

    def texts(self) -> dict[str, str | None]:
        return {memory_id: row.text for memory_id, row in self.read().items()}

    def missing(self) -> dict[str, str]:
        return {m: row.text_missing for m, row in self.read().items() if row.text_missing}

    def logical_hash(self) -> str:
        """That of a store that agrees with itself."""
        with self.store.read() as connection:
            assert audit.problems(connection) == []
            return audit.logical_hash(connection)

    def sql(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with self.store.read() as connection:
            return connection.execute(sql, list(values)).fetchall()


def vector_of(text: str) -> Any:
    seed = int(text_hash(text) or "0", 16) % (1 << 32)
    return np.random.default_rng(seed).standard_normal(4).astype(np.float32)


def record(number: int, *, text: str | None = "", **changes: Any) -> Record:
    """A memory, of some length unless its text is given, in one of five sessions."""
    said = f"Memory {number} says this. " * (1 + number % 20) if text == "" else text
    values: dict[str, Any] = {
        "text": said,
        "session_id": f"s{number % 5}",
        "created_at": START + timedelta(seconds=number),
        "tags": ("t", f"n{number}"),
        "importance": 0.5,
        "metadata": f'{{"k": {number}}}',
    }
    return Record(f"m{number}", **(values | changes))


@pytest.fixture
def fake() -> FakeBucket:
    return FakeBucket()


@pytest.fixture
def make_world(
    tmp_path: Path, with_store: Callable[[Path], Path], rows: Rows, fake: FakeBucket
) -> Iterator[Callable[..., World]]:
    made: list[World] = []

    def make(bucket: Bucket | None = None, folder: str = "world", **settings: object) -> World:
        made.append(World(tmp_path / folder, with_store, rows, bucket or fake, settings))
        return made[-1]

    yield make
    for world in made:
        world.close()


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world()


@pytest.fixture
def make_record() -> Callable[..., Record]:
    return record
