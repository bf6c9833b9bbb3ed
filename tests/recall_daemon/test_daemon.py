"""What a running hub does when one of its parts fails: go on, or end and say why."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

sys.path.insert(0, str(Path(__file__).parent))  # hubs

import hubs

from recall_daemon.backlog import Backlog
from recall_daemon.core import Core
from recall_daemon.errors import StoreBroken, StoreFailed, StoreRefused
from recall_daemon.index.state import State, VectorInvalid
from recall_daemon.ingest.pipeline import Pipeline
from recall_daemon.settings import HubSettings
from recall_wire.records import Record


@pytest.fixture
def settings(publisher: Any, tmp_path: Path) -> HubSettings:
    return HubSettings(
        bucket_url=f"file://{publisher.root}",
        data_dir=tmp_path / "hub",
        embedder="hash",
        http_port=0,
        poll_interval_s=1,
    )


async def test_a_broken_store_ends_the_process_with_its_reason(
    settings: HubSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise StoreBroken("the store must be opened again")

    monkeypatch.setattr(Pipeline, "poll", broken)
    urls: list[str] = []
    with pytest.raises(StoreBroken, match="must be opened again"):
        await asyncio.wait_for(hubs.run(settings, announce=urls.append), 30)
    assert urls[0].startswith("http://127.0.0.1:")


async def test_an_index_that_failed_once_follows_at_the_next_merge(
    settings: HubSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow, calls = Core.follow, [0]
    reached = asyncio.Event()
    loop = asyncio.get_running_loop()

    def failing(core: Core) -> int:
        calls[0] += 1
        if calls[0] <= 2:  # as the hub began, and at its first look
            raise StoreFailed("twice")
        loop.call_soon_threadsafe(reached.set)
        return follow(core)

    monkeypatch.setattr(Core, "follow", failing)
    running = asyncio.create_task(hubs.run(settings, announce=lambda _: None))
    await asyncio.wait_for(reached.wait(), 30)
    assert not running.done()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


def test_a_full_disk_is_told_and_search_goes_on(settings: HubSettings, publisher: Any) -> None:
    publisher.publish("a", 1, [Record("m", text="one")])
    _found_by(settings)
    publisher.publish("a", 2, [Record("n", text="one more")])
    full = settings.model_copy(update={"min_free_bytes": 1 << 62})
    state, hits = _found_by(full)

    assert state["ready"]
    assert state["degraded"]
    assert "ingest goes on when there are" in state["parts"]["disk"]
    assert hits == ["m"]
    state, hits = _found_by(settings, hits=2)
    assert (state["parts"]["disk"], sorted(hits)) == ("ok", ["m", "n"])


def _found_by(
    settings: HubSettings, hits: int = 1, *, ready: bool = True
) -> tuple[dict[str, Any], list[str]]:
    """What a hub that runs until its search has so many hits says of itself, and those hits.

    Each in a loop of its own, as each would be a process of its own.
    """
    return asyncio.run(_asked(settings, hits, ready))


async def _asked(settings: HubSettings, hits: int, ready: bool) -> tuple[dict[str, Any], list[str]]:
    told: asyncio.Queue[str] = asyncio.Queue()
    running = asyncio.create_task(hubs.run(settings, announce=told.put_nowait))
    try:
        # It says where it is a moment before it answers there.
        transport = httpx.AsyncHTTPTransport(retries=5)
        url = await told.get()
        async with httpx.AsyncClient(base_url=url, timeout=30, transport=transport) as client:
            while True:
                answer = await client.post("/v1/search", json={"query": "one", "fold": False})
                found = [hit["memory_id"] for hit in answer.json()["hits"]]
                state = (await client.get("/readyz")).json()
                if len(found) >= hits and state["ready"] is ready:
                    return state, found
                await asyncio.sleep(0.02)
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


def test_a_terminal_failure_of_the_index_is_told_and_all_else_goes_on(
    settings: HubSettings, publisher: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were the hub to end, the next start would meet the same vector, and answer nothing."""
    publisher.publish("a", 1, [Record("m", text="one")])
    _found_by(settings)
    publisher.publish("a", 2, [Record("n", text="one more")])

    def invalid(*_: object) -> None:
        raise VectorInvalid("the store gave a vector of another length")

    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr(State, "drain_space", invalid)
        state, hits = _found_by(settings, hits=2, ready=False)
    assert (state["ready"], sorted(hits)) == (False, ["m", "n"])
    assert state["parts"]["index"] == "the store gave a vector of another length"
    assert [entry["event"] for entry in logs].count("index.failed") == 1

    state, hits = _found_by(settings, hits=2)
    assert (state["parts"]["index"], sorted(hits)) == ("ok", ["m", "n"])


async def test_a_terminal_failure_of_the_embedding_is_told_once(
    settings: HubSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = [asyncio.Event() for _ in range(3)]
    loop, calls, drain = asyncio.get_running_loop(), [0], Backlog.drain

    def refused(*arguments: Any, **options: Any) -> int:
        loop.call_soon_threadsafe(tried[min(calls[0], 2)].set)
        calls[0] += 1
        if calls[0] <= 2:
            raise StoreRefused("the store cannot hold these values")
        return drain(*arguments, **options)

    monkeypatch.setattr(Backlog, "drain", refused)
    quick = settings.model_copy(update={"poll_interval_s": 0.05})
    with capture_logs() as logs:
        running = asyncio.create_task(hubs.run(quick, announce=lambda _: None))
        await asyncio.wait_for(tried[2].wait(), 30)
        assert not running.done()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert [entry["event"] for entry in logs].count("embedding.failed") == 1
