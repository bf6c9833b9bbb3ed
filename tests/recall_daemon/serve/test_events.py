"""`GET /v1/events` as a client meets it: its frames, its filters, and whose events it shows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from recall_daemon.access.caller import own_alone
from recall_daemon.access.events import Wanted
from recall_daemon.search.reach import EVERYTHING, Reach
from recall_daemon.serve import subscribers as module
from recall_daemon.serve.events import _stream
from recall_daemon.serve.subscribers import Subscribers
from recall_daemon.store import events
from recall_daemon.store.events import Event
from recall_daemon.store.store import Store

NOW = datetime(2026, 1, 2, tzinfo=UTC)
HAPPENED = (
    ("snapshot.merged", "a", {"seq": 1, "rows": 3}),
    ("snapshot.quarantined", "b", {"seq": 2, "reason": "it is\nbroken"}),
    ("error", None, {"what": "poll.failed", "error": "the bucket is away"}),
    ("gap.noticed", "a", {"first": 2, "last": 3}),
)


def happen(store: Store) -> None:
    def work(connection: Any) -> None:
        for kind, system_id, body in HAPPENED:
            events.append(connection, kind, system_id, body, NOW)

    store.write(work)


async def frames(stream: AsyncIterator[bytes], last: int) -> list[dict[str, str]]:
    """The frames up to the one with that id, as a client of the standard reads them."""
    found: list[dict[str, str]] = []
    text = ""
    while not any(frame.get("id") == str(last) for frame in found):
        text += (await asyncio.wait_for(anext(stream), 30)).decode()
        *whole, text = text.split("\n\n")
        found += [dict(line.split(": ", 1) for line in frame.split("\n")) for frame in whole]
    return [frame for frame in found if "event" in frame]


async def seen(store: Store, wanted: Wanted, after: int = 0, last: int = 4) -> list[Any]:
    async with aclosing(_stream(Subscribers(store).follow(after), wanted)) as stream:
        return [frame["id"] for frame in await frames(stream, last)]


async def test_an_event_is_a_frame_with_its_number_and_kind(store: Store) -> None:
    happen(store)
    async with aclosing(_stream(Subscribers(store).follow(0), Wanted())) as stream:
        found = await frames(stream, 4)
    assert [frame["event"] for frame in found] == [kind for kind, _, _ in HAPPENED]
    assert json.loads(found[1]["data"]) == {
        "event_id": 2,
        "happened_at": NOW.isoformat(),
        "kind": "snapshot.quarantined",
        "system_id": "b",
        "body": {"seq": 2, "reason": "it is\nbroken"},
    }


async def test_filters_and_resuming(store: Store) -> None:
    happen(store)
    assert await seen(store, Wanted(), after=2) == ["3", "4"]
    merged = Wanted(kinds=frozenset({"snapshot.merged", "gap.noticed"}))
    assert await seen(store, merged) == ["1", "4"]
    assert await seen(store, Wanted(systems=frozenset({"a"}))) == ["1", "4"]


async def test_a_lost_place_is_told_with_a_number_to_go_on_from(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "KEPT", 96)
    for _ in range(25):
        happen(store)
    async with aclosing(_stream(Subscribers(store).follow(1), Wanted())) as stream:
        found = await frames(stream, 100)
    assert (found[0]["event"], found[0]["id"]) == ("events.lost", "4")
    assert json.loads(found[0]["data"]) == {"resumed_after": 4}
    assert [frame["id"] for frame in found[1:]] == [str(number) for number in range(5, 101)]


@pytest.mark.parametrize(
    ("reach", "numbers"),
    [
        (EVERYTHING, [1, 2, 3, 4]),
        (Reach(systems=frozenset({"a"})), [1, 4]),
        (Reach(systems=frozenset({"b"})), [2]),
        (Reach(systems=frozenset()), []),
        (Reach(projects=frozenset({"p"})), [1, 2, 4]),
        (Reach(systems=frozenset({"b"}), projects=frozenset({"p"})), [2]),
    ],
)
def test_a_caller_sees_the_events_of_the_systems_within_reach(
    reach: Reach, numbers: list[int]
) -> None:
    happened = [Event(n, NOW, *event) for n, event in enumerate(HAPPENED, 1)]
    for wanted in (Wanted(reach), Wanted(reach, systems=frozenset({"a", "b"}))):
        shown = [event.event_id for event in happened if wanted.holds(event)]
        assert shown == [n for n in numbers if n != 3 or not wanted.systems]
    body = Wanted(reach).to_json(happened[0])["body"]
    assert ("rows" in body) is (reach.projects is None)
    quarantined = Wanted(reach).to_json(happened[1])["body"]
    assert ("reason" in quarantined) is (reach.projects is None)


def test_which_memory_an_event_is_of_is_for_who_sees_all_of_its_system() -> None:
    event = Event(1, NOW, "conflict", "a", {"memory_id": "m", "conflict_id": "c"})
    sight = own_alone("token", "helper", None)
    for part in (Reach(projects=frozenset({"p"})), Reach(sight=sight)):
        assert not Wanted(part).holds(event)
        assert Wanted(part).holds(Event(2, NOW, "conflict", "a", {"seq": 1, "reason": "twice"}))
    assert Wanted(Reach(systems=frozenset({"a"}))).holds(event)


async def test_the_newest_are_listed_and_the_port_refuses_nonsense(open_test_hub: Any) -> None:
    async with open_test_hub() as opened:
        happen(opened.hub.core.store)
        transport = httpx.ASGITransport(opened.app())
        async with httpx.AsyncClient(transport=transport, base_url="http://hub") as http:
            listed = (await http.get("/v1/events/recent?limit=2")).json()["events"]
            assert [event["event_id"] for event in listed] == [4, 3]
            found = await http.get("/v1/events/recent?kind=error&kind=gap.noticed&system=a")
            assert [event["event_id"] for event in found.json()["events"]] == [4]
            assert (await http.get("/v1/events?after=-1")).status_code == 422
            bad = {"last-event-id": "x"}
            assert (await http.get("/v1/events", headers=bad)).status_code == 422


async def test_there_is_room_for_so_many(
    open_test_hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SUBSCRIBERS_MAX", 0)
    async with open_test_hub() as opened:
        transport = httpx.ASGITransport(opened.app())
        async with httpx.AsyncClient(transport=transport, base_url="http://hub") as http:
            answer = await http.get("/v1/events")
    assert (answer.status_code, answer.json()["code"]) == (503, "too_many_subscribers")
