"""What memories said before, as versions that edits can be merged with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import permutations
from typing import Any

import pytest

from recall_daemon.store import ledger, posts, versions
from recall_daemon.store.ledger import Entry, Place
from recall_daemon.store.merge import merge_rows
from recall_daemon.store.store import Store
from recall_daemon.versions.content import root_id
from recall_wire.records import Record

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
Rows = Callable[[Sequence[Record]], Any]
SAID = [
    Record(
        "m", text=f"{number}. ü", importance=0.25, tags=("x",), metadata='{"a":1}', created_at=NOW
    )
    for number in range(3)
]


def merge(store: Store, rows: Rows, seq: int, records: Sequence[Record]) -> None:
    def work(connection: ledger.Connection) -> None:
        place = Place("s", seq)
        ledger.see_system(connection, "s", NOW)
        ledger.record(connection, Entry(place, "bucket", "k", "merged", NOW, rows_done=9))
        merge_rows(connection, place, rows(records), NOW)

    store.write(work)


def kept(store: Store) -> set[tuple[str, str | None]]:
    with store.read() as connection:
        found = versions.load(connection, "s", "m")
    for one in found:
        assert one.record is not None
        assert one.version_id == root_id(one.record)
    return {(one.version_id, one.record and one.record.text) for one in found}


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_in_whatever_order_snapshots_come(store: Store, rows: Rows, order: Sequence[int]) -> None:
    for number in order:
        merge(store, rows, number + 1, [SAID[number]])
    assert kept(store) == {(root_id(one), one.text) for one in SAID[:2]}
    with store.read() as connection:
        row = versions.find_row(connection, "s", "m")
    assert row is not None
    assert (row.version_id, row.record) == (root_id(SAID[2]), SAID[2])


def test_posts_keep_what_they_replace_and_the_same_again_keeps_nothing(store: Store) -> None:
    for record in (SAID[0], SAID[0], SAID[1]):
        store.write(lambda connection, one=record: posts.post(connection, "s", [one], NOW))  # type: ignore[misc]
    assert kept(store) == {(root_id(SAID[0]), SAID[0].text)}


def test_what_its_system_deletes_or_forgets_is_not_kept(store: Store, rows: Rows) -> None:
    merge(store, rows, 1, [SAID[0]])
    merge(store, rows, 2, [replace(Record("m"), op="delete")])
    assert kept(store) == set()
    merge(store, rows, 3, [SAID[1]])
    merge(store, rows, 4, [SAID[2]])
    merge(store, rows, 5, [Record("m", op="forget")])
    assert kept(store) == set()
