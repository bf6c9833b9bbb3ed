"""Many clients in several processes change the same memories at once: nothing is lost, nothing is
written with an old fence, and all of them end with one history."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from recall_client import MemoryClient

SOAK = "RECALLD_TEST_SOAK" in os.environ
SCRIPT = Path(__file__).parent / "hammering.py"
PROCESSES, CLIENTS = 4, 8
MEMORIES, ROUNDS = (50, 60) if SOAK else (10, 3)


@pytest.mark.timeout(1800)
def test_no_update_is_lost_and_no_old_fence_writes(hub: Any, fleet: Any) -> None:
    names = [f"m{number}" for number in range(MEMORIES)]
    with MemoryClient(hub.url, agent_id="hammer") as client:
        added = client.batch_add_memories(
            [{"content": name, "memory_id": name, "metadata": {"count": 0}} for name in names]
        )
        assert added["status"] == "success", added
    told = hammered(hub.url)
    assert [one["wrong"] for one in told] == [[]] * PROCESSES
    assert sum(one["stale"] for one in told) == 0
    assert sum(one["deleted"] for one in told) > 0
    counted: Counter[str] = sum((Counter(one["counted"]) for one in told), Counter())
    histories = [histories_of(hub.url, names, str(number)) for number in range(2)]
    assert histories[0] == histories[1]
    with MemoryClient(hub.url, agent_id="hammer") as client:
        memories = [client.get_memory(name)["memory"] for name in names]
    assert {m["memory_id"]: m["metadata"]["count"] for m in memories} == {
        name: counted[name] for name in names
    }
    for memory, history in zip(memories, histories[0], strict=True):
        assert memory["version"] == history["head"]
    assert fleet.json("recalld", "verify")["problems"] == []
    assert fleet.json("recalld", "audit", "verify")["problems"] == []


def hammered(url: str) -> list[Any]:
    processes = [
        subprocess.Popen(
            [sys.executable, SCRIPT, url, *map(str, (number, CLIENTS, MEMORIES, ROUNDS))],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(PROCESSES)
    ]
    told = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * PROCESSES
    return [json.loads(one) for one in told]


def histories_of(url: str, names: list[str], session: str) -> list[Any]:
    with MemoryClient(url, agent_id="hammer", session_id=session) as client:
        return [client.get_versions(name) for name in names]
