"""What is changed inside a `with client.lock(…)` block carries the fence, and nothing else does."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import httpx
import pytest

from recall_client import AsyncMemoryClient, LockRefused, MemoryClient

LOCK = {"memory_id": "m", "system_id": "sys", "fence": 7, "expires_at": "2026-01-01T00:05:00+00:00"}


def says(request: httpx.Request) -> httpx.Response:
    if request.url.path == "/v1/locks":
        return httpx.Response(200, json={"lock": {**LOCK, "depth": 1}})
    return httpx.Response(200, json={})


@pytest.fixture
def client(hub: Any) -> Any:
    hub.says = says
    with MemoryClient("http://hub", transport=httpx.MockTransport(hub)) as opened:
        yield opened


def fence_sent(hub: Any) -> int | None:
    request = hub.last
    if request.method == "DELETE":
        told = request.url.params.get("fence")
        return None if told is None else int(told)
    fence: int | None = json.loads(request.content).get("fence")
    return fence


def test_each_change_in_the_block_carries_the_fence_and_it_is_released(
    client: Any, hub: Any
) -> None:
    with client.lock("m", lease_s=60, wait_s=5) as held:
        assert json.loads(hub.last.content) == {"memory_id": "m", "lease_s": 60, "wait_s": 5}
        assert (held.fence, held.system_id) == (7, "sys")
        for change in (
            lambda: client.update_memory("m", content="x"),
            lambda: client.update_memory("sys/m", content="x"),
            lambda: client.delete_memory("m"),
            lambda: client.reinforce_memory("m"),
            lambda: client.add_relationship("m", "n", "follows"),
        ):
            change()
            assert fence_sent(hub) == 7
        client.update_memory("n", content="x")
        assert fence_sent(hub) is None
        client.update_memory("m", content="x", fence=9)
        assert fence_sent(hub) == 9
    assert hub.last.url.path == "/v1/locks/release"
    assert json.loads(hub.last.content) == {"memory_id": "m", "fence": 7}
    client.update_memory("m", content="x")
    assert fence_sent(hub) is None


def test_a_block_that_fails_releases_too(client: Any, hub: Any) -> None:
    with pytest.raises(KeyError), client.lock("m"):
        raise KeyError
    assert hub.last.url.path == "/v1/locks/release"


def test_a_block_never_runs_without_its_lock(client: Any, hub: Any) -> None:
    refused = {"code": "memory_locked", "detail": "another holds it"}
    hub.says = lambda _: httpx.Response(423, json=refused)
    with pytest.raises(LockRefused, match="another holds it") as told, client.lock("m"):
        pytest.fail("the block ran")
    assert told.value.answer["code"] == "memory_locked"
    assert len(hub.asked) == 1


def test_another_thread_does_not_write_under_a_lock_that_it_did_not_take(
    client: Any, hub: Any
) -> None:
    with client.lock("m"):
        thread = threading.Thread(target=client.update_memory, args=("m", "x"))
        thread.start()
        thread.join()
        assert fence_sent(hub) is None


async def test_tasks_of_the_block_carry_its_fence(hub: Any) -> None:
    hub.says = says
    async with AsyncMemoryClient("http://hub", transport=httpx.MockTransport(hub)) as client:
        async with client.lock("m"):
            await asyncio.gather(client.update_memory("m", content="x"))
            assert fence_sent(hub) == 7
        assert hub.last.url.path == "/v1/locks/release"


def test_an_answer_to_a_lock_may_take_as_long_as_the_wait(client: Any, hub: Any) -> None:
    client.acquire_lock("m", wait_s=600)
    assert hub.last.extensions["timeout"]["read"] == 630
    client.get_memory("m")
    assert hub.last.extensions["timeout"] == {"connect": 5, "read": 30, "write": 30, "pool": None}
