"""Followers of the events: woken at once, resumed, bounded, and many."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from datetime import UTC, datetime

import pytest

from recall_daemon.serve import subscribers as module
from recall_daemon.serve.subscribers import News, Subscribers
from recall_daemon.store import events
from recall_daemon.store.store import Store

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def happen(store: Store, count: int = 1) -> None:
    def work(connection: events.Connection) -> None:
        for _ in range(count):
            events.append(connection, "error", None, {}, NOW)

    store.write(work)


def numbers(news: News) -> list[int]:
    return [event.event_id for event in news.events]


async def upto(following: AsyncIterator[News], last: int) -> list[int]:
    """The numbers that come, until the one that is `last`."""
    got: list[int] = []
    while not got or got[-1] != last:
        got += numbers(await asyncio.wait_for(anext(following), 30))
    return got


async def test_it_begins_now_and_is_woken_by_a_commit(store: Store) -> None:
    happen(store, 3)
    subscribers = Subscribers(store, heartbeat_s=3600)
    async with aclosing(subscribers.follow(None)) as following:
        assert await anext(following) == News((), 3)
        waiting = asyncio.ensure_future(anext(following))
        await asyncio.sleep(0)
        await asyncio.to_thread(happen, store)
        assert numbers(await asyncio.wait_for(waiting, 30)) == [4]


def test_it_does_not_wait_for_the_threads_that_merge_and_embed(store: Store) -> None:
    held = threading.Event()

    async def follow() -> None:
        busy = ThreadPoolExecutor(1)
        asyncio.get_running_loop().set_default_executor(busy)
        merging = busy.submit(held.wait, 60)
        try:
            subscribers = Subscribers(store, heartbeat_s=3600)
            async with aclosing(subscribers.follow(None)) as following:
                await asyncio.wait_for(anext(following), 10)
                waiting = asyncio.ensure_future(anext(following))
                threading.Thread(target=happen, args=(store,)).start()
                assert numbers(await asyncio.wait_for(waiting, 10)) == [1]
        finally:
            held.set()
        assert merging.result()

    asyncio.run(follow())


async def test_it_resumes_after_a_number_from_store_and_from_memory(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    happen(store, 250)
    subscribers = Subscribers(store, heartbeat_s=3600)
    async with aclosing(subscribers.follow(10)) as first:
        assert await upto(first, 250) == list(range(11, 251))
        await asyncio.to_thread(happen, store, 5)
        assert await upto(first, 255) == list(range(251, 256))

        def fails(_: int) -> Sequence[events.Event]:
            raise AssertionError("the newest are read once for all")

        monkeypatch.setattr(subscribers, "_stored", fails)
        async with aclosing(subscribers.follow(252)) as second:
            assert await upto(second, 255) == [253, 254, 255]


async def test_what_is_no_longer_kept_is_told(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "KEPT", 50)
    happen(store, 200)
    subscribers = Subscribers(store, heartbeat_s=3600)
    async with aclosing(subscribers.follow(20)) as following:
        assert not (await anext(following)).lost
        news = await anext(following)
        assert (news.lost, numbers(news)[0]) == (True, 151)
        assert not (await anext(subscribers.follow(200))).lost
    async with aclosing(subscribers.follow(999)) as of_another_store:
        assert await anext(of_another_store) == News((), 200, lost=True)


async def test_a_sign_of_life_while_nothing_happens(store: Store) -> None:
    async with aclosing(Subscribers(store, heartbeat_s=0.01).follow(None)) as following:
        assert [await anext(following) for _ in range(3)] == [News((), 0)] * 3


async def test_a_slow_follower_holds_nothing_up_and_has_no_queue(store: Store) -> None:
    subscribers = Subscribers(store, heartbeat_s=3600)
    async with aclosing(subscribers.follow(None)) as slow, aclosing(subscribers.follow(None)) as ok:
        await anext(slow)
        await anext(ok)
        for last in range(100, 2_001, 100):
            await asyncio.to_thread(happen, store, 100)
            await upto(ok, last)
        assert len(subscribers._recent) == module._RECENT
        assert await upto(slow, 2_000) == list(range(1, 2_001))


async def test_a_thousand_followers_cost_no_thread_and_one_reading(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribers = Subscribers(store, heartbeat_s=3600)
    following = [subscribers.follow(None) for _ in range(1_000)]
    await asyncio.gather(*(anext(each) for each in following))
    before, readings = threading.active_count(), []
    stored = subscribers._stored
    monkeypatch.setattr(subscribers, "_stored", lambda at: readings.append(at) or stored(at))
    waiting = [asyncio.ensure_future(anext(each)) for each in following]
    await asyncio.sleep(0)
    await asyncio.to_thread(happen, store)
    assert [numbers(news) for news in await asyncio.gather(*waiting)] == [[1]] * 1_000
    assert threading.active_count() <= before + 1
    assert len(readings) <= 3
    for each in following:
        await each.aclose()
    assert subscribers._open == 0


async def test_closing_ends_every_follower_at_once(store: Store) -> None:
    subscribers = Subscribers(store, heartbeat_s=3600)
    following = [subscribers.follow(None) for _ in range(10)]
    await asyncio.gather(*(anext(each) for each in following))
    waiting = [asyncio.ensure_future(anext(each, None)) for each in following]
    await asyncio.sleep(0)
    subscribers.close()
    assert await asyncio.wait_for(asyncio.gather(*waiting), 30) == [None] * 10


async def test_nobody_follows_nobody_reads(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    subscribers = Subscribers(store, heartbeat_s=3600)
    async with aclosing(subscribers.follow(None)) as following:
        await anext(following)
    looked: list[int] = []
    monkeypatch.setattr(subscribers, "_look", lambda: looked.append(1))
    await asyncio.to_thread(happen, store, 3)
    await asyncio.sleep(0)
    assert looked == []
    monkeypatch.undo()
    async with aclosing(subscribers.follow(None)) as again:
        assert (await anext(again)).at == 3
