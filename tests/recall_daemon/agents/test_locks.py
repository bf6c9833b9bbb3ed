"""Waiting for locks in one process: who wakes whom, and what is left of those who go away."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from recall_daemon.access.caller import LOCAL, Caller
from recall_daemon.agents.actor import Actor
from recall_daemon.agents.config import Agents
from recall_daemon.agents.locks import Locks
from recall_daemon.agents.naming import Naming
from recall_daemon.agents.sight import Grants
from recall_daemon.errors import (
    AgentInvalid,
    Forbidden,
    KeyReused,
    LockNotHeld,
    LockWaitCut,
    MemoryLocked,
    MemoryNotFound,
    StaleFence,
)
from recall_daemon.search.reach import Reach
from recall_daemon.store import audit_log, events, locks, posts
from recall_daemon.store.answers import Key
from recall_daemon.store.store import Store
from recall_wire.records import Record

Json = dict[str, Any]
LAPTOP = Caller("instance:l", "instance", "laptop", Reach(frozenset({"laptop"})))
READER = Caller("reader:r", "reader", None, Reach(frozenset({"laptop"})))
M = ("laptop", "m")
SHORT_S = 0.2


def agent(name: str, session: str | None = None) -> Actor:
    return Actor(LAPTOP, None, name, session)


ANN, BOB, CID = agent("ann"), agent("bob"), agent("cid")


def now() -> datetime:
    return datetime.now(UTC)


class Waited:
    """Locks over a store, and what its line is."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.locks = Locks(store, Naming(Grants(store, Agents(), now=now), "agents"), now=now)

    async def acquire(self, actor: Actor, **options: Any) -> Json:
        told: Json = (await self.locks.acquire(actor, "m", **options))["lock"]
        return told

    async def in_line(self, actor: Actor, **options: Any) -> asyncio.Task[Json]:
        """One that waits, seen in the store."""
        task = asyncio.create_task(self.acquire(actor, **options))
        await self.until(lambda: actor.holder in self.line())
        return task

    async def until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            await asyncio.sleep(0.001)

    def line(self) -> list[str]:
        with self.store.look_up() as connection:
            return [waiter.holder for waiter in locks.standing(connection, M, now()).line]

    def holder(self) -> str | None:
        with self.store.look_up() as connection:
            held = locks.standing(connection, M, now()).held(now())
            return held.holder if held else None


@pytest.fixture
def waited(store: Store) -> Waited:
    records = [Record("m", text="the tide"), Record("n", text="the ebb")]
    store.write(lambda connection: posts.post(connection, "laptop", records, now()))
    return Waited(store)


async def test_a_release_wakes_the_first_of_the_line(waited: Waited) -> None:
    ann = await waited.acquire(ANN)
    tasks = [await waited.in_line(actor) for actor in (BOB, CID)]
    waited.locks.release(ANN, "m", ann["fence"])
    bob = await tasks[0]
    assert not tasks[1].done()
    waited.locks.release(BOB, "laptop/m", bob["fence"])
    assert (await tasks[1])["fence"] > bob["fence"] > ann["fence"]


async def test_many_are_served_in_the_order_they_came(waited: Waited) -> None:
    last = await waited.acquire(ANN)
    actors = [agent("bob", str(number)) for number in range(12)]
    tasks = [await waited.in_line(actor) for actor in actors]
    waited.locks.release(ANN, "m", last["fence"])
    for actor, task in zip(actors, tasks, strict=True):
        lock = await task
        assert lock["fence"] > last["fence"]
        last = lock
        waited.locks.release(actor, "m", lock["fence"])
    assert waited.holder() is None


async def test_a_lease_that_runs_out_wakes_whoever_waits(waited: Waited) -> None:
    ann = await waited.acquire(ANN, lease_s=SHORT_S)
    bob = await waited.acquire(BOB)
    assert bob["fence"] > ann["fence"]
    with pytest.raises(StaleFence):
        waited.locks.release(ANN, "m", ann["fence"])


async def test_a_place_whose_client_never_comes_back_holds_nobody_up_for_longer(
    waited: Waited,
) -> None:
    """As after a kill: it is in the store, and nobody waits for it."""
    ann = await waited.acquire(ANN)
    gone = asyncio.create_task(Waited(waited.store).acquire(BOB, wait_s=2 * SHORT_S))
    await waited.until(lambda: BOB.holder in waited.line())
    cid = await waited.in_line(CID)
    waited.locks.release(ANN, "m", ann["fence"])  # the other process, so to say, is not told
    assert (await cid)["fence"] > ann["fence"]
    with pytest.raises(MemoryLocked):
        await gone


async def test_who_waited_long_enough_is_told_and_leaves_the_line(waited: Waited) -> None:
    await waited.acquire(ANN)
    for wait_s in (0, 0.05):
        with pytest.raises(MemoryLocked, match="until"):
            await waited.acquire(BOB, wait_s=wait_s)
    await waited.until(lambda: not waited.line())
    waiting = await waited.in_line(CID, wait_s=30)
    waiting.cancel()


async def test_who_goes_away_leaves_the_line(waited: Waited) -> None:
    ann = await waited.acquire(ANN)
    bob, cid = await waited.in_line(BOB), await waited.in_line(CID)
    bob.cancel()
    await waited.until(lambda: waited.line() == [CID.holder])
    waited.locks.release(ANN, "m", ann["fence"])
    assert (await cid)["fence"] > ann["fence"]


async def test_who_goes_away_at_the_last_moment_gives_the_lock_back(waited: Waited) -> None:
    """The lease is on its way when the client is gone: its key is free again, too."""
    key = Key("c", "k", "sha")
    busy, go_on = threading.Event(), threading.Event()

    def hold(connection: Any) -> None:
        busy.set()
        go_on.wait(10)

    held = waited.store.submit(hold)
    await asyncio.to_thread(busy.wait, 10)
    task = asyncio.create_task(waited.acquire(ANN, key=key))
    await waited.until(lambda: bool(waited.store._writer._queue))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    held.result()
    await asyncio.to_thread(waited.store.write, lambda connection: None)
    await waited.until(lambda: waited.holder() is None)
    again = await waited.acquire(ANN, key=key)
    assert (again["depth"], waited.holder()) == (1, ANN.holder)


async def test_requests_of_one_holder_share_a_place(waited: Waited) -> None:
    ann = await waited.acquire(ANN)
    first = await waited.in_line(BOB)
    second = asyncio.create_task(waited.acquire(BOB))
    cid = await waited.in_line(CID)
    await waited.until(lambda: len(waited.locks._waits._of(M)) == 3)
    first.cancel()
    await asyncio.wait({first})
    waited.locks.release(ANN, "m", ann["fence"])
    bob = await second
    assert waited.line() == [CID.holder]
    cid.cancel()
    assert (await waited.acquire(BOB))["depth"] == bob["depth"] + 1


async def test_a_restart_keeps_the_place_of_whoever_asks_again(
    waited: Waited, tmp_path: Path
) -> None:
    ann = await waited.acquire(ANN)
    tasks = [await waited.in_line(actor) for actor in (BOB, CID)]
    waited.locks.stop()
    for task in tasks:
        with pytest.raises(LockWaitCut):
            await task
    waited.store.close()
    again = Waited(Store(tmp_path / "hub"))
    try:
        cid, bob = await again.in_line(CID), await again.in_line(BOB)
        assert again.line() == [BOB.holder, CID.holder]
        again.locks.release(ANN, "m", ann["fence"])
        again.locks.release(BOB, "m", (await bob)["fence"])
        await cid
    finally:
        again.store.close()


async def test_a_request_sent_again_with_its_key_is_done_once(waited: Waited) -> None:
    def key(name: str, body: str = "same") -> Key:
        return Key("c", name, body)

    lock = await waited.acquire(ANN, key=key("1"))
    assert await waited.acquire(ANN, key=key("1")) == lock
    with pytest.raises(KeyReused):
        await waited.acquire(ANN, key=key("1", "other"))
    assert (await waited.acquire(ANN, key=key("2")))["depth"] == 2
    for _ in range(2):
        told = waited.locks.release(ANN, "m", lock["fence"], key=key("3"))
        assert told["lock"]["depth"] == 1


async def test_a_forced_release_is_audited_and_told_and_wakes_the_next(waited: Waited) -> None:
    await waited.acquire(ANN)
    ann = await waited.acquire(ANN)
    bob = await waited.in_line(BOB)
    with pytest.raises(Forbidden):
        waited.locks.force_release(LAPTOP, "m", "stuck")
    with pytest.raises(AgentInvalid, match="reason"):
        waited.locks.force_release(LOCAL, "m", "  ")
    told = waited.locks.force_release(LOCAL, "m", "its machine is gone")
    said = {"memory_id": "m", "fence": ann["fence"], "reason": "its machine is gone"}
    assert told == {"released": {**said, "system_id": "laptop", "holder": ANN.holder}}
    assert (await bob)["fence"] > ann["fence"]
    with pytest.raises(StaleFence):
        waited.locks.release(ANN, "m", ann["fence"])
    with waited.store.look_up() as connection:
        (entry,) = audit_log.newest(connection, 1)
        assert (entry.actor, entry.action, entry.system_id) == (
            *("local", "lock.force_released", "laptop"),
        )
        assert "its machine is gone" in entry.body
        assert ANN.holder in entry.body
        assert audit_log.problems(connection) == []
        (event,) = events.newest(connection, 1, lambda _: True)
    assert (event.kind, event.body) == ("lock.force_released", said)
    with pytest.raises(LockNotHeld):
        waited.locks.force_release(LOCAL, "n", "nobody has it")


async def test_only_who_may_write_a_memory_may_lock_it(waited: Waited) -> None:
    with pytest.raises(Forbidden):
        await waited.acquire(Actor(READER))
    for actor in (agent("ann"), Actor(READER)):
        with pytest.raises(MemoryNotFound):
            await waited.locks.acquire(actor, "zebra/m")
    with pytest.raises(Forbidden):
        waited.locks.release(Actor(READER), "m", 7)


async def test_the_lock_of_a_memory_that_is_gone_is_still_its_holders(waited: Waited) -> None:
    ann = await waited.acquire(ANN)
    gone = [Record("m", op="delete")]
    waited.store.write(lambda connection: posts.post(connection, "laptop", gone, now()))
    waited.locks.renew(ANN, "m", ann["fence"])
    assert waited.locks.release(ANN, "m", ann["fence"])["lock"]["depth"] == 0
    with pytest.raises(MemoryNotFound):
        await waited.acquire(BOB)


async def test_a_list_shows_no_fence_to_others_and_nothing_to_who_sees_nothing(
    waited: Waited,
) -> None:
    ann = await waited.acquire(ANN)
    bob = await waited.in_line(BOB)
    for actor, fence in ((ANN, ann["fence"]), (BOB, None), (Actor(LOCAL), ann["fence"])):
        told = waited.locks.listed(actor)
        (held,), (place,) = told["locks"], told["waiting"]
        assert (held["fence"], held["mine"]) == (fence, actor is ANN)
        assert (held["holder"], place["holder"]) == ("instance:l", "instance:l")
        assert (place["place"], place["mine"]) == (1, actor is BOB)
    nobody = Actor(Caller("reader:z", "reader", None, Reach(frozenset({"zebra"}))))
    assert waited.locks.listed(nobody) == {"locks": [], "waiting": []}
    bob.cancel()


@pytest.mark.parametrize("seconds", [0, -1, 3_601, float("nan"), float("inf")])
async def test_a_lease_of_no_length_or_without_end_is_refused(
    waited: Waited, seconds: float
) -> None:
    with pytest.raises(AgentInvalid, match="lease_s"):
        await waited.acquire(ANN, lease_s=seconds)
    with pytest.raises(AgentInvalid, match="wait_s"):
        await waited.acquire(ANN, wait_s=seconds or 301)
