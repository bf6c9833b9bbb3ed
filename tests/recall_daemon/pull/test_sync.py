"""Many instances into one store: nothing doubled, nothing missed, and one harms no other."""

from __future__ import annotations

import asyncio
import re
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

sys.path.insert(0, str(Path(__file__).parent))  # peers

from peers import (
    TOP_ONE,
    App,
    Seen,
    endless,
    hanging,
    mcp_instance,
    memory,
    plain_instance,
    saying,
    served,
)

from recall_daemon.errors import JobStopped, StoreFailed
from recall_daemon.metrics import REGISTRY
from recall_daemon.pull import known as facts
from recall_daemon.pull.errors import PullInvalid
from recall_daemon.pull.instances import InstanceSetting, system_of
from recall_daemon.store.store import Store

TWO = [memory(1), memory(2)]


async def test_real_mcp_twice_the_same_changes_nothing(puller: Any) -> None:
    hub = puller()
    async with served(mcp_instance(lambda: TWO)) as url:
        first = await hub(url)
        before, rows = hub.changes(), hub.rows()
        second = await hub(url)
    system_id = system_of(url, "laptop-7")
    assert system_id.startswith("laptop-7-")
    assert rows == {(system_id, "m1"): "memory 1", (system_id, "m2"): "memory 2"}
    assert {k: v for k, v in first.items() if k != "instances"} == {
        "success": True,
        "memories_fetched": 2,
        "memories_synced": 2,
        "embeddings_generated": 2,
        "errors": [],
    }
    assert (second["memories_fetched"], second["memories_synced"]) == (2, 0)
    assert (second["embeddings_generated"], second["success"]) == (0, True)
    assert (hub.rows(), hub.changes()) == (rows, before)
    assert hub.problems() == []


async def test_a_plain_one_and_what_changed_there(puller: Any) -> None:
    hub, there = puller(), [memory(1), memory(2)]
    async with served(plain_instance(lambda: {"result": there})) as url:
        await hub(url)
        there[0] = memory(1, content="changed", updated_at="2026-01-02T10:00:00Z")
        there.append(memory(3))
        there[1] = memory(2, similarity=0.1, access_count=9, _cached=True)
        answer = await hub(url)
    assert (answer["memories_fetched"], answer["memories_synced"]) == (3, 2)
    assert sorted(hub.rows().values()) == ["changed", "memory 2", "memory 3"]


async def test_text_for_people_twice_is_one_memory(puller: Any) -> None:
    hub = puller()
    async with served(mcp_instance(lambda: TOP_ONE, limited=False)) as url:
        answers = [await hub(url, incremental=False) for _ in range(2)]
        assert hub.known(url).since is None, "it did not give everything"
    assert [one["memories_synced"] for one in answers] == [1, 0]
    assert answers[0]["instances"][0]["note"] == "it gives its best result alone"
    assert list(hub.rows().values()) == ["Use WAL mode\nfor the queue"]


async def test_what_is_no_memory_is_told_and_the_rest_is_stored(puller: Any) -> None:
    hub = puller()
    there = [memory(1), {"id": "empty"}, memory(2, content="   "), 7, memory(3)]
    async with served(plain_instance(lambda: there)) as url:
        answer = await hub(url)
    assert answer["success"] is False
    assert {one["url"] for one in answer["errors"]} == {url}
    assert {one["memory_id"]: one["error"] for one in answer["errors"]} == {
        None: "'7' is no memory",
        "empty": "there is no text",
        "m2": "text is empty",
    }
    assert sorted(hub.rows().values()) == ["memory 1", "memory 3"]


LIES: dict[str, App] = {
    "web page": saying(b"<html>", "text/html"),
    "not UTF-8": saying(b"\xff"),
    "an error": saying(b'{"error": "locked"}'),
    "more than": endless("application/json", b" " * (1 << 20)),
    "no answer in": hanging(),
}


async def test_those_that_fail_change_nothing_for_the_others(puller: Any) -> None:
    hub = puller(timeout_s=3.0)
    steps: list[Any] = []
    async with (
        served(mcp_instance(lambda: TWO)) as good,
        served(plain_instance(lambda: TWO)) as plain,
        served(LIES["web page"]) as html,
        served(LIES["not UTF-8"]) as broken,
        served(LIES["an error"]) as locked,
        served(LIES["more than"]) as flood,
        served(LIES["no answer in"]) as hangs,
    ):
        bad = dict(zip(LIES, (html, broken, locked, flood, hangs), strict=True))
        urls = [bad["no answer in"], good, *bad.values(), plain]
        answer = await hub(*urls, on_progress=steps.append)
    told = {one["url"]: one["error"] for one in answer["errors"]}
    assert set(told) == set(bad.values())
    assert [words for words, url in bad.items() if words not in told[url]] == []
    assert answer["memories_synced"] == 4
    assert {one["url"] for one in answer["instances"] if not one["failed"]} == {good, plain}
    assert [step.done for step in steps] == list(range(1, 8))
    assert {step.total for step in steps} == {7}
    assert hub.problems() == []


async def test_a_configured_instance_that_failed_is_left_alone_until_it_answers(
    puller: Any,
) -> None:
    def left_alone() -> float | None:
        return REGISTRY.get_sample_value("recalld_breaker_open", {"breaker": "pull"})

    hub = puller()
    async with served(LIES["an error"]) as bad, served(plain_instance(lambda: TWO)) as good:
        hub.configured = [InstanceSetting(url=good)]
        pull = hub.pull
        await pull.sync_all_instances([bad])
        assert left_alone() == 0, "nobody asks that one again"
        hub.configured = [InstanceSetting(url=bad), InstanceSetting(url=good)]
        pull = hub.pull
        await pull.sync_all_instances()
        await pull.sync_all_instances([good])
        assert left_alone() == 1
        pull.instances = puller().pull.instances
        await pull.sync_all_instances([good])
        assert left_alone() == 0, "it is not configured any more"


async def test_an_instance_that_lies_harms_itself_alone(puller: Any) -> None:
    """Ids of others, times of no year, vectors of NaN, broken text, two of one id."""
    hub = puller()
    inf = float("inf")
    there = [
        memory(1, content="another's", system_id="victim", target_system="victim", op="forget"),
        memory(2, created_at="9999-12-31T23:59:59Z"),
        memory(3, created_at="0001-01-01T00:00:00Z"),
        memory(4, embedding=[float("nan")] * 3, similarity=inf),
        memory(14, importance=inf),
        memory(5, content="lone \ud800 surrogate"),
        memory(6, content=["no", "text"]),
        memory(7, id="x" * 600),
        memory(8, metadata={"a": {"b": inf}}),
        memory(9, tags=7, project=["p"], created_at=10**400),
        memory(10, content="x" * (5 << 20)),
        memory(1, content="the second of one id"),
        memory(12, id=12),
        memory(13, id={"no": "id"}),
    ]
    async with served(plain_instance(lambda: TWO)) as victim:
        hub.configured = [InstanceSetting(url=victim, system="victim")]
        await hub(victim)
        async with served(plain_instance(lambda: there)) as url:
            answers = [await hub(url, incremental=False) for _ in range(2)]
    assert {key: text for key, text in hub.rows().items() if key[0] == "victim"} == {
        ("victim", "m1"): "memory 1",
        ("victim", "m2"): "memory 2",
    }
    ids = sorted(memory_id for system_id, memory_id in hub.rows() if system_id != "victim")
    assert [name for name in ids if not name.startswith("pull:")] == [
        *("12", "m1", "m2", "m3", "m4", "m5", "m9")
    ]
    assert {one["memory_id"] for one in answers[0]["errors"]} == {
        *(None, "m1", "m8", "m10", "m14", "x" * 200)
    }
    assert all(len(one["error"]) <= 200 for one in answers[0]["errors"])
    assert [one["memories_synced"] for one in answers] == [8, 0]
    assert hub.known(url).since is None or hub.known(url).since <= hub.now
    assert hub.problems() == []


async def test_the_last_day_first_and_then_since_the_last_time(puller: Any) -> None:
    hub = puller()
    there = [
        memory(1, created_at="2025-12-31T12:00:00Z"),
        memory(2, created_at="2026-01-02T11:00:00Z"),
        memory(3, created_at=None),
    ]
    async with served(plain_instance(lambda: there)) as url:
        first = await hub(url)
        assert hub.known(url).since == datetime(2026, 1, 2, 10, tzinfo=UTC)
        hub.now += timedelta(days=9)
        there += [
            memory(4, created_at="2026-01-02T10:30:00Z"),
            memory(5, created_at="2026-01-02T09:00:00Z"),
            memory(6, created_at="2026-01-08T00:00:00Z"),
        ]
        second = await hub(url)
        everything = await hub(url, incremental=False)
    assert (first["memories_fetched"], first["memories_synced"]) == (2, 2)
    assert (second["memories_fetched"], second["memories_synced"]) == (4, 2)
    assert (everything["memories_fetched"], everything["memories_synced"]) == (6, 2)


@pytest.mark.parametrize("zone", ["+09:00", "-08:00"])
async def test_a_clock_of_another_zone_misses_nothing(puller: Any, zone: str) -> None:
    """Times without their zone are off by hours, and still those of one instance agree."""
    hub, there = puller(), list[Any]()
    local = timedelta(hours=int(zone[:3]))

    def written(number: int) -> None:
        there.append(memory(number, created_at=(hub.now + local).replace(tzinfo=None).isoformat()))

    async with served(plain_instance(lambda: there)) as url:
        for number in range(4):
            written(number)
            answer = await hub(url)
            assert answer["memories_synced"] == 1, number
            hub.now += timedelta(hours=7)
    assert len(hub.rows()) == 4


async def test_what_was_cut_short_is_not_taken_for_all(puller: Any) -> None:
    hub = puller()
    there = [memory(n, created_at=f"2026-01-02T{n:02}:00:00Z") for n in range(1, 12)]
    seen = Seen(plain_instance(lambda: there[-seen.asked()[-1]["limit"] :]))
    async with served(seen) as url:
        answer = await hub(url, limit=3)
        assert hub.known(url).since is None
        assert answer["instances"][0]["note"] == "3 more are there: ask with a higher limit"
        answer = await hub(url, limit=11)
        assert hub.known(url).since == datetime(2026, 1, 2, 10, tzinfo=UTC)
    assert [one["limit"] for one in seen.asked()] == [6, 22]
    assert (answer["instances"][0]["note"], len(hub.rows())) == (None, 11)


async def test_a_search_is_not_taken_for_all(puller: Any) -> None:
    hub = puller()
    seen = Seen(mcp_instance(lambda: TWO))
    async with served(seen) as url:
        await hub(url, query="wal mode")
        assert hub.known(url).since is None
    assert seen.asked()[0]["query"] == "wal mode"


async def test_what_was_forgotten_stays_so(puller: Any, store: Store) -> None:
    hub = puller()
    async with served(plain_instance(lambda: TWO)) as url:
        await hub(url)
        store.write(
            lambda c: c.execute(
                "UPDATE store.memories SET state = 'forgotten', text = NULL, content_hash = '' "
                "WHERE memory_id = 'm1'"
            ).fetchall()
        )
        before = hub.changes()
        answer = await hub(url)
    assert (answer["memories_synced"], hub.changes()) == (0, before)
    assert list(hub.rows().values()) == ["memory 2"]


async def test_no_row_means_not_remembered(puller: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash between the rows and what is remembered of them repeats them, and doubles none."""
    hub = puller()
    from recall_daemon.memory.posts import Posts

    def refuse(*_: object, **__: object) -> None:
        raise StoreFailed("the disk went away")

    async with served(plain_instance(lambda: TWO)) as url:
        with monkeypatch.context() as broken:
            broken.setattr(Posts, "store", refuse)
            answer = await hub(url)
        assert "the disk went away" in answer["errors"][0]["error"]
        assert (hub.rows(), hub.known(url)) == ({}, facts.Known())
        with monkeypatch.context() as broken:
            broken.setattr(facts, "write", refuse)
            answer = await hub(url)
        assert (len(hub.rows()), hub.known(url)) == (2, facts.Known())
        answer = await hub(url)
        assert (answer["success"], answer["memories_synced"], len(hub.rows())) == (True, 0, 2)
        assert hub.known(url).since is not None


async def test_a_token_goes_where_it_is_meant_to_go_alone(puller: Any) -> None:
    """Whoever may ask for a pull names the address: one that is not configured gets no token."""
    hub = puller(token="for all", environment={"DESK": "for the desk"})
    mine, desk, other = (Seen(mcp_instance(lambda: TWO)) for _ in range(3))
    async with served(mine) as one, served(desk) as two, served(other) as three:
        hub.configured = [InstanceSetting(url=one), InstanceSetting(url=two, token_env="DESK")]
        with capture_logs() as logs:
            answer = await hub(one, two, three)
    assert answer["success"] is True
    sent = [{h.get("authorization") for h in seen.headers} for seen in (mine, desk, other)]
    assert sent == [{"Bearer for all"}, {"Bearer for the desk"}, {None}]
    assert "for all" not in str(logs) + str(answer)


async def test_no_token_in_the_clear(puller: Any) -> None:
    hub = puller(token="secret", environment={})
    hub.configured = [
        InstanceSetting(url="http://far.example:8678"),
        InstanceSetting(url="https://far.example", token_env="ABSENT"),
    ]
    answer = await hub("http://far.example:8678/mcp", "https://far.example")
    assert [re.split("[,;]", one["error"])[0] for one in answer["errors"]] == [
        "its token would cross the network in the clear",
        "the environment variable ABSENT holds no token",
    ]


async def test_the_settings_say_which_system(puller: Any) -> None:
    hub = puller()
    async with served(mcp_instance(lambda: TWO)) as url:
        await hub(url)
        hub.configured = [InstanceSetting(url=url, system="desk")]
        answer = await hub(url)
        assert (answer["memories_synced"], hub.known(url).system_id) == (2, "desk")
        hub.configured = []
        await hub(url)
    assert hub.known(url).system_id == "desk", "it stays what it was"


async def test_one_that_calls_itself_otherwise_later_stays_one_system(puller: Any) -> None:
    hub, names = puller(), ["desk"]
    there = plain_instance(lambda: {"system_id": names[0], "memories": TWO})
    async with served(there) as url:
        await hub(url)
        names[0] = "laptop"
        answer = await hub(url)
    assert answer["memories_synced"] == 0
    assert {system_id for system_id, _ in hub.rows()} == {system_of(url, "desk")}


async def test_a_stop_ends_what_hangs(puller: Any) -> None:
    hub = puller(timeout_s=60.0)
    pull = hub.pull
    async with served(hanging()) as url:
        running = asyncio.create_task(pull.sync_all_instances([url]))
        while not pull._running:
            await asyncio.sleep(0)
        pull.stop()
        with pytest.raises(JobStopped):
            await running


async def test_the_same_instance_under_two_spellings_is_asked_once(puller: Any) -> None:
    hub = puller()
    async with served(plain_instance(lambda: TWO)) as url:
        answer = await hub(url, f"{url}/", f"{url}/mcp")
    assert answer["memories_fetched"] == 2


@pytest.mark.parametrize(
    "asked",
    [{"limit": 0}, {"limit": 10_001}, {"query": "x" * 1_001}, {"instance_urls": ["ftp://x"]}],
)
async def test_what_cannot_be_asked_for(puller: Any, asked: Any) -> None:
    with pytest.raises(PullInvalid):
        await puller().pull.sync_all_instances(**({"instance_urls": ["http://x"]} | asked))


def test_what_is_remembered_comes_back(store: Store) -> None:
    told = facts.Known("a", "mcp", datetime(2026, 1, 1, tzinfo=UTC))
    store.write(lambda c: facts.write(c, "http://x", told))
    with store.read() as connection:
        assert facts.read(connection, "http://x") == told
        assert facts.read(connection, "http://y") == facts.Known()
    store.write(lambda c: facts.write(c, "http://x", replace(told, since=None)))
    with store.read() as connection:
        assert facts.read(connection, "http://x") == replace(told, since=None)
