"""32 clients in 4 processes with 50 memories: locks, edits, deletes, and one history for all."""

from __future__ import annotations

import json
import os
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # hammering_child

import forked
import hammering_child

from recall_client import MemoryClient

SOAK = "RECALLD_TEST_SOAK" in os.environ
PROCESSES, CLIENTS = 4, 8
ROUNDS = 200 if SOAK else 3
MEMORIES = [f"m{n}" for n in range(50)]


@pytest.mark.timeout(3600 if SOAK else 300)
def test_nothing_is_lost_and_no_old_fence_is_taken(hub: Any, fleet: Any) -> None:
    seed = str(random.SystemRandom().randrange(10**6))
    new = [{"content": name, "memory_id": name, "metadata": {"n": 0}} for name in MEMORIES]
    with MemoryClient(hub.url) as client:
        assert client.batch_add_memories(new)["status"] == "success"
    reports = [one for told in hammered(hub.url, seed) for one in told]
    assert [wrong for one in reports for wrong in one["wrongs"]] == [], seed
    # What was deleted for a moment is not there for others, and what is locked is refused.
    refused = {code for one in reports for code in one["refused"]}
    assert refused <= {"memory_locked", "memory_not_found", "lock_timeout"}, (refused, seed)
    assert all(sum(one[what] for one in reports) for what in ("stale", "deleted")), seed
    check(hub.url, reports, seed)
    hub.kill()
    assert fleet.json("recalld", "verify")["problems"] == []


def hammered(url: str, seed: str) -> list[Any]:
    started = [
        forked.start(
            [hammering_child.__file__, url, *map(str, (n, CLIENTS, ROUNDS)), seed, *MEMORIES]
        )
        for n in range(PROCESSES)
    ]
    ended = [process.communicate(timeout=3000) for process in started]
    assert [process.returncode for process in started] == [0] * PROCESSES, ended
    return [json.loads(out) for out, _ in ended]


def check(url: str, reports: list[Any], seed: str) -> None:
    """Each memory is the sum of what was acknowledged, for whoever reads it."""
    increments: Counter[str] = Counter()
    for one in reports:
        increments.update(one["increments"])
    with MemoryClient(url) as client, MemoryClient(url, session_id="another") as another:
        read = client.batch_get_memories(MEMORIES)["memories"]
        assert len(read) == len(MEMORIES), seed
        for memory in read:
            name = memory["memory_id"]
            own = {one["own"]: one["values"][name] for one in reports if name in one["values"]}
            assert memory["metadata"] == {"n": increments[name], **own}, (name, seed)
            history = client.get_versions(name)
            told = another.get_versions(name)
            assert (told["head"], told["versions"]) == (history["head"], history["versions"])
            assert history["head"] == memory["version"]
            known = {version["version_id"] for version in history["versions"]}
            said = {v for one in reports for v in one["versions"].get(name, ())}
            assert said <= known, (name, seed)
            assert not any(version["content"] == "too late" for version in history["versions"])
        assert client.list_conflicts("all")["conflicts"] == []
        assert client.list_locks()["locks"] == []
