"""What a running hub does when one of its parts fails: go on, or end and say why."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from recall_daemon import daemon
from recall_daemon.app import Core
from recall_daemon.errors import StoreBroken, StoreFailed
from recall_daemon.ingest.pipeline import Pipeline
from recall_daemon.settings import HubSettings


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
        await asyncio.wait_for(daemon.run(settings, announce=urls.append), 30)
    assert urls[0].startswith("http://127.0.0.1:")


async def test_an_index_that_failed_once_follows_at_the_next_merge(
    settings: HubSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow, calls = Core.follow, [0]
    reached = asyncio.Event()
    loop = asyncio.get_running_loop()

    def failing(core: Core) -> int:
        calls[0] += 1
        if calls[0] == 1:
            raise StoreFailed("once")
        loop.call_soon_threadsafe(reached.set)
        return follow(core)

    monkeypatch.setattr(Core, "follow", failing)
    running = asyncio.create_task(daemon.run(settings, announce=lambda _: None))
    await asyncio.wait_for(reached.wait(), 30)
    assert not running.done()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
