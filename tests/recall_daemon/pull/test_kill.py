"""kill -9 in the middle of pulling: nothing is missed, and nothing is written twice."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # peers, pulling_child

import pulling_child
from peers import memory, plain_instance, served

from recall_daemon.store import journal
from recall_daemon.store.store import Store

SOAK = "RECALLD_TEST_SOAK" in os.environ
KILLS = 100 if SOAK else 10


@pytest.mark.timeout(600 if SOAK else 120)
async def test_killed_at_any_instant(puller: Any, tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    there: list[dict[str, Any]] = []

    def answer() -> object:
        """One more each time that it is asked."""
        there.append(memory(len(there), created_at=None))
        return list(there)

    data_dir = tmp_path / "killed"
    async with served(plain_instance(answer)) as url:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, pulling_child.__file__, str(data_dir), url, str(KILLS), str(seed))
        )
        assert await child.wait() == 0
        asked = len(there)
        store = Store(data_dir)
        try:
            hub = puller()
            hub.store = store
            answered = await hub(url, limit=10_000)
            assert answered["success"], (seed, answered)
            assert {name for _, name in hub.rows()} == {one["id"] for one in there}, seed
            assert posted(store) == len(there), seed
            assert hub.problems() == [], seed
        finally:
            store.close()
    assert asked > KILLS, f"seed {seed}: it was never in the middle of anything"


def posted(store: Store) -> int:
    """How many rows the journal has, each of which reaches the bucket's log."""
    with store.read() as connection:
        entries = journal.unshipped(connection, 1_000_000, 1 << 30)
    return sum(len(entry.body["rows"]) for entry in entries if entry.kind == "post")
