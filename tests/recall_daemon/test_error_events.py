"""A part that fails is told to those who follow the events: once, until it fails in another way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from recall_daemon.core import Core
from recall_daemon.daemon import Daemon
from recall_daemon.errors import StoreFailed
from recall_daemon.ingest.pipeline import Pipeline
from recall_daemon.metrics import REGISTRY
from recall_daemon.store import events
from recall_wire.errors import BucketUnreachable


async def test_each_failure_is_told_once(
    open_test_hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise BucketUnreachable("the bucket is away")

    reasons = ["index one", "index one", "index two", "index one"]

    def failing(_: Core) -> int:
        raise StoreFailed(reasons.pop(0))

    async with open_test_hub() as opened:
        daemon = Daemon(opened.hub, asyncio.Event())
        monkeypatch.setattr(Core, "follow", failing)
        while reasons:
            daemon._catch_up()
        monkeypatch.setattr(Pipeline, "poll", away)
        failed = REGISTRY.get_sample_value("recalld_polls_total", {"outcome": "failed"}) or 0.0
        await daemon._poll()
        await daemon._poll()
        again = REGISTRY.get_sample_value("recalld_polls_total", {"outcome": "failed"})
        store = opened.hub.core.store
        store.write(lambda _: None)  # those before it are committed
        with store.read() as connection:
            told = events.after(connection, 0, 100)
    assert again == failed + 2
    assert [(e.kind, e.system_id, e.body["what"], e.body["error"]) for e in told] == [
        ("error", None, "index.failed", "index one"),
        ("error", None, "index.failed", "index two"),
        ("error", None, "index.failed", "index one"),
        ("error", None, "poll.failed", "the bucket is away"),
    ]
