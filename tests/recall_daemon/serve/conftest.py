"""Asking as every role: see `door`."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from recall_daemon.serve import forget, push
from recall_daemon.serve.gate import Terms
from recall_daemon.serve.guard import Guard

sys.path.insert(0, str(Path(__file__).parent))  # door, access_table
from access_table import OTHER, OWN
from door import Door, make_tokens, records


@pytest.fixture
async def door(open_test_hub: Any, publisher: Any) -> AsyncIterator[Door]:
    """Two systems of two projects, each with four snapshots in quarantine."""
    for system, mark in ((OWN, "harbour"), (OTHER, "zanzibar")):
        publisher.publish(system, 1, records(system, mark))
        for seq in (2, 3, 4, 5):
            publisher.commit(system, seq, b"no manifest")
    async with open_test_hub() as hub:
        await hub.once()
        tokens = hub.hub.core.tokens
        given = {"wrong": "rct_000000000000_" + "A" * 43, **make_tokens(tokens, hub.clock)}
        app = Guard(hub.app(Terms()), port=8682, allowances=(push.BATCHES, forget.BODY))
        yield Door(app, given, hub.hub.core.store)
