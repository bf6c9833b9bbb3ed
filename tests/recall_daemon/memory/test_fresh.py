"""Posts of new memories that share one transaction."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from recall_daemon.errors import MemoryExists, MemoryNotFound
from recall_daemon.memory.fresh import Fresh
from recall_daemon.memory.posts import Posts
from recall_wire.records import Record

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_in_one_transaction_a_name_is_taken_once_and_a_parent_may_come_before(store: Any) -> None:
    posts = Posts(store, check_disk=lambda: None, on_merged=lambda: None, now=lambda: NOW)
    held, go = threading.Event(), threading.Event()

    def hold(connection: Any) -> None:
        held.set()
        assert go.wait(30)

    def begin(memory_id: str, text: str, parent: str | None = None) -> Any:
        parents = frozenset() if parent is None else frozenset({("s", parent)})
        fresh = Fresh(names=frozenset({("s", memory_id)}), parents=parents, answer=text)
        record = Record(memory_id, text=text, parent_id=parent)
        return posts.begin({"s": [record]}, actor="t", fresh=fresh)

    holding = store.submit(hold)
    assert held.wait(30)
    first, second = begin("m", "one"), begin("m", "two")
    child, orphan = begin("c", "below", "m"), begin("o", "below", "nobody")
    go.set()
    holding.result()
    assert (first.result().answer, child.result().answer) == ("one", "below")
    with pytest.raises(MemoryExists):
        second.result()
    with pytest.raises(MemoryNotFound):
        orphan.result()
    with store.read() as connection:
        rows = connection.execute("SELECT memory_id, text FROM memories ORDER BY ALL").fetchall()
    assert rows == [("c", "below"), ("m", "one")]
