"""Each gap is told once when it is noticed, and once when it has closed, across restarts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from recall_daemon.ingest import gap_events
from recall_daemon.ingest.gap_events import _without
from recall_daemon.store import events, ledger
from recall_daemon.store.ledger import Entry, Place
from recall_daemon.store.store import Store
from recall_wire.records import Record

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def told(store: Store) -> list[tuple[str, str | None, tuple[int, int]]]:
    with store.read() as connection:
        found = events.after(connection, 0, 100)
    return [
        (event.kind, event.system_id, (event.body["first"], event.body["last"]))
        for event in found
        if event.kind.startswith("gap.")
    ]


def merged(store: Store, *seqs: int, system_id: str = "a") -> None:
    def work(connection: Any) -> None:
        ledger.see_system(connection, system_id, NOW)
        for seq in seqs:
            ledger.record(connection, Entry(Place(system_id, seq), "bucket", "k", "merged", NOW))

    store.write(work)


def test_a_gap_is_told_when_it_is_noticed_and_when_its_last_number_came(store: Store) -> None:
    merged(store, 1, 5)
    gap_events.tell(store, (), NOW)
    gap_events.tell(store, (), NOW)
    assert told(store) == [("gap.noticed", "a", (2, 4))]
    merged(store, 3)
    gap_events.tell(store, (), NOW)
    assert len(told(store)) == 1
    merged(store, 2, 4)
    gap_events.tell(store, (), NOW)
    gap_events.tell(store, (), NOW)
    assert told(store)[1:] == [("gap.closed", "a", (2, 4))]


def test_a_gap_that_grows_is_told_by_its_new_part(store: Store) -> None:
    merged(store, 1, 3)
    gap_events.tell(store, (), NOW)
    merged(store, 6)
    gap_events.tell(store, (), NOW)
    merged(store, 2)
    gap_events.tell(store, (), NOW)
    assert told(store) == [
        ("gap.noticed", "a", (2, 2)),
        ("gap.noticed", "a", (4, 5)),
        ("gap.closed", "a", (2, 2)),
    ]


def test_what_is_on_its_way_is_no_gap_and_other_systems_are_told(store: Store) -> None:
    merged(store, 1, 3)
    merged(store, 2, system_id="b")
    gap_events.tell(store, {"a"}, NOW)
    assert told(store) == [("gap.noticed", "b", (1, 1))]
    gap_events.tell(store, (), NOW)
    assert told(store)[1:] == [("gap.noticed", "a", (2, 2))]


@pytest.mark.parametrize(
    ("others", "parts"),
    [
        ([], [(4, 9)]),
        ([(1, 3), (10, 12)], [(4, 9)]),
        ([(4, 9)], []),
        ([(1, 4), (6, 7)], [(5, 5), (8, 9)]),
        ([(9, 20)], [(4, 8)]),
    ],
)
def test_parts_of_a_range(others: list[tuple[int, int]], parts: list[tuple[int, int]]) -> None:
    assert _without((4, 9), others) == parts


async def test_a_hub_tells_what_its_polls_did(open_test_hub: Any, publisher: Any) -> None:
    """In order, and nothing of a gap that a head announces and the same poll closes."""
    publisher.publish("a", 1, [Record("m1", text="one")])
    publisher.publish("a", 3, [Record("m3", text="three")])
    publisher.publish("b", 1, [Record("m1", text="one")])
    publisher.commit("b", 2, b"{}")
    async with open_test_hub() as hub:
        await hub.poll()
        publisher.publish("a", 2, [Record("m2", text="two")])
        publisher.publish("a", 4, [Record("m4", text="four")], instance_id="another")
        hub.clock[0] = hub.clock[0].replace(hour=1)
        await hub.poll()
        with hub.hub.core.store.read() as connection:
            found = events.after(connection, 0, 100)
    seen = [(event.kind, event.body.get("seq", event.body.get("first"))) for event in found]
    of_a = [line for line, event in zip(seen, found, strict=True) if event.system_id == "a"]
    assert of_a[:3] == [("snapshot.merged", 1), ("snapshot.merged", 3), ("gap.noticed", 2)]
    assert sorted(of_a[3:]) == [
        ("conflict", 4),
        ("gap.closed", 2),
        ("snapshot.merged", 2),
        ("snapshot.merged", 4),
    ]
    of_b = [line for line, event in zip(seen, found, strict=True) if event.system_id == "b"]
    assert of_b == [("snapshot.merged", 1), ("snapshot.quarantined", 2)]
