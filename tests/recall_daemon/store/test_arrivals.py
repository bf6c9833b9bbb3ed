"""The ledger as a list: newest first, by system and state, in pages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from recall_daemon.store import ledger
from recall_daemon.store.arrivals import arrivals
from recall_daemon.store.ledger import Entry, Place
from recall_daemon.store.store import Store

START = datetime(2026, 1, 1, tzinfo=UTC)


def _entry(system: str, seq: int, minutes: int, state: Any = "merged") -> Entry:
    at = START + timedelta(minutes=minutes)
    settled = None if state == "waiting" else at
    return Entry(Place(system, seq), "bucket", "key", state, at, settled_at=settled)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ((None, None, 9, 0), ["b/2", "a/2", "b/1", "a/1"]),
        ((None, None, 2, 1), ["a/2", "b/1"]),
        (({"a"}, None, 9, 0), ["a/2", "a/1"]),
        ((None, "waiting", 9, 0), ["b/2"]),
        (({"a"}, "waiting", 9, 0), []),
        (((), None, 9, 0), []),
    ],
)
def test_newest_first(
    tmp_path: Path, asked: tuple[Any, Any, int, int], expected: list[str]
) -> None:
    store = Store(tmp_path)
    for entry in (
        _entry("a", 1, 0),
        _entry("b", 1, 1),
        _entry("a", 2, 2),
        _entry("b", 2, 3, "waiting"),
    ):
        store.write(lambda connection, entry=entry: ledger.record(connection, entry))  # type: ignore[misc]
    systems, state, limit, offset = asked
    with store.read() as connection:
        found = arrivals(connection, systems=systems, state=state, limit=limit, offset=offset)
    store.close()
    assert [str(entry.place) for entry in found] == expected
