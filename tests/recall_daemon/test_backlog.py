"""The backlog is worked off whatever single texts do, and a crash repeats one batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from structlog.testing import capture_logs

from recall_daemon import backlog
from recall_daemon.backlog import Backlog
from recall_daemon.embed.errors import EmbeddingFailed
from recall_daemon.store.ledger import Place
from recall_daemon.store.merge import merge_rows
from recall_daemon.store.store import Store
from recall_wire.manifest import EmbeddingSpace
from recall_wire.records import Record

NOW = datetime(2026, 1, 2, tzinfo=UTC)
Rows = Callable[[Sequence[Record]], pa.Table]


class Picky:
    """An embedder that fails for every batch that holds a text it does not like."""

    space = EmbeddingSpace(model="picky", revision="1", dim=3, normalized=True)

    def __init__(self, hated: str = "") -> None:
        self.hated = hated
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if self.hated in texts and self.hated:
            raise EmbeddingFailed("no")
        self.asked += texts
        return np.ones((len(texts), 3), dtype=np.float32)


def merge(store: Store, table: pa.Table) -> None:
    store.write(lambda connection: merge_rows(connection, Place("a", 1), table, NOW))


def test_one_hopeless_text_holds_up_no_other(store: Store, rows: Rows) -> None:
    merge(store, rows([Record(str(n), text=f"text {n}") for n in range(5)]))
    embedder = Picky("text 3")
    work = Backlog(store, on_embedded=lambda: None)

    assert work.drain(embedder) == 4
    assert work.size(embedder.space.space_id) == 0
    assert work.drain(embedder) == 0

    embedder.hated = ""
    later = Backlog(store, on_embedded=lambda: None)
    assert later.size(embedder.space.space_id) == 1
    assert later.drain(embedder) == 1


def test_a_hopeless_text_is_logged_and_lets_a_new_one_be_counted(store: Store, rows: Rows) -> None:
    merge(store, rows([Record("1", text="bad")]))
    embedder = Picky("bad")
    work = Backlog(store, on_embedded=lambda: None)
    with capture_logs() as logs:
        work.drain(embedder)
    merge(store, rows([Record("1", text="bad"), Record("2", text="good")]))

    assert [entry["event"] for entry in logs] == ["text.not_embedded"]
    assert work.size(embedder.space.space_id) == 1
    assert work.drain(embedder) == 1


def test_a_text_forgotten_while_it_was_embedded_leaves_nothing(store: Store, rows: Rows) -> None:
    merge(store, rows([Record("1", text="secret")]))

    class Slow(Picky):
        def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
            merge(store, rows([Record("1", op="forget")]))
            return super().encode(texts)

    Backlog(store, on_embedded=lambda: None).drain(Slow())

    with store.read() as connection:
        assert connection.execute("SELECT * FROM passages").fetchall() == []


def test_each_distinct_text_is_embedded_once_whoever_wrote_it(store: Store, rows: Rows) -> None:
    merge(store, rows([Record("1", text="same"), Record("2", text=" same\n"), Record("3")]))
    table = rows([Record("9", text="same")])
    store.write(lambda connection: merge_rows(connection, Place("b", 1), table, NOW))
    embedder = Picky()

    assert Backlog(store, on_embedded=lambda: None).drain(embedder) == 1
    assert embedder.asked == ["same"]


def test_it_stops_between_batches_and_goes_on_where_it_was(
    store: Store, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "BATCH_TEXTS", 2)
    merge(store, rows([Record(str(n), text=f"text {n}") for n in range(5)]))
    embedder, done = Picky(), [0]
    work = Backlog(store, on_embedded=lambda: done.__setitem__(0, done[0] + 1))

    assert work.drain(embedder, stop=lambda: done[0] == 2) == 4
    assert embedder.asked == [f"text {n}" for n in range(4)]
    assert work.drain(embedder) == 1
