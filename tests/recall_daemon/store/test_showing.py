"""Lists of the newest: in order, page by page, each row once, however they are asked for."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from recall_daemon.index.filters import NO_FILTERS, Filters
from recall_daemon.store import posts, showing
from recall_daemon.store.showing import Mark, Memory
from recall_daemon.store.store import Connection, Store
from recall_wire.records import Record

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FIRST = datetime(1970, 1, 1, tzinfo=UTC)


def spread(chance: random.Random) -> datetime | None:
    """Most in the last hour, some years before, some at one time, some at none."""
    kind = chance.random()
    if kind < 0.1:
        return None
    if kind < 0.3:
        return NOW
    if kind < 0.4:
        return NOW - timedelta(days=chance.randrange(3_000))
    return NOW - timedelta(seconds=chance.randrange(3_600))


def _post(system_id: str, records: Sequence[Record], connection: Connection) -> None:
    posts.post(connection, system_id, records, NOW)


def filled(store: Store) -> list[Record]:
    chance = random.Random(7)
    made = [
        Record(
            f"m{number:03}",
            text=f"text {number}",
            created_at=spread(chance),
            project=chance.choice(["p", "q", None]),
            tags=(chance.choice("xyz"),),
        )
        for number in range(300)
    ]
    for system in range(3):
        store.write(partial(_post, f"s{system}", made[system::3]))
    return made


def pages(store: Store, filters: Filters, limit: int) -> list[Memory]:
    found: list[Memory] = []
    after = None
    with store.read() as connection:
        while page := showing.newest(connection, filters, after, limit):
            found += page
            after = Mark(page[-1].created_at, page[-1].system_id, page[-1].memory_id)
    return found


def expected(rows: Sequence[Record], passes: Callable[[Record], bool]) -> list[str]:
    named = [(row, f"s{number % 3}") for number, row in enumerate(rows) if passes(row)]
    named.sort(key=lambda one: (one[0].created_at is None, one[1], one[0].memory_id))
    named.sort(key=lambda one: one[0].created_at or FIRST, reverse=True)
    return [row.memory_id for row, _ in named]


def is_recent(row: Record) -> bool:
    return row.created_at is not None and row.created_at < NOW - timedelta(minutes=30)


ASKED: list[tuple[Filters, Callable[[Record], bool]]] = [
    (NO_FILTERS, lambda row: True),
    (Filters(projects=("p",)), lambda row: row.project == "p"),
    (Filters(tags=("x",)), lambda row: row.tags == ("x",)),
    (Filters(until=NOW - timedelta(minutes=30)), is_recent),
    (Filters(since=NOW), lambda row: row.created_at == NOW),
]


@pytest.mark.parametrize(("limit", "many"), [(7, 1), (100, 1), (60, 1_000_000)])
@pytest.mark.parametrize("asked", ASKED)
def test_pages_hold_each_row_once_newest_first(
    store: Store, monkeypatch: pytest.MonkeyPatch, asked: Any, limit: int, many: int
) -> None:
    rows = filled(store)
    monkeypatch.setattr(showing, "MANY_ROWS", many)
    filters, passes = asked
    found = [memory.memory_id for memory in pages(store, filters, limit)]
    assert found == expected(rows, passes)


def test_of_no_rows_there_is_no_page(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(showing, "MANY_ROWS", 0)
    assert pages(store, NO_FILTERS, 3) == []


def test_rows_come_in_the_order_asked_for_without_those_that_are_gone(
    store: Store,
) -> None:
    filled(store)
    with store.read() as connection:
        ids = [showing.row_id_of(connection, "s0", name) for name in ("m003", "m000")]
        assert showing.row_id_of(connection, "s0", "m003", ["nothing"]) is None
        assert showing.row_id_of(connection, "s1", "m003") is None
        found = showing.by_row_ids(connection, [*filter(None, ids), 10**9])
    assert [memory.memory_id for memory in found] == ["m003", "m000"]


def test_a_text_is_read_as_far_as_is_asked_for(store: Store) -> None:
    store.write(lambda c: posts.post(c, "s", [Record("m", text="é" * 10, metadata='{"a":1}')], NOW))
    with store.read() as connection:
        whole = showing.newest(connection, NO_FILTERS, None, 1)
        part = showing.newest(connection, NO_FILTERS, None, 1, text_chars=4)
    assert [(one.text, one.metadata) for one in whole] == [("é" * 10, '{"a":1}')]
    assert [(one.text, one.metadata) for one in part] == [("é" * 4, None)]
