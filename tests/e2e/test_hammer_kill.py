"""kill -9 of the hub or of its clients, while they work under locks and delete."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # killed_child

import forked
import killed_child

from recall_client import MemoryClient

SOAK = "RECALLD_TEST_SOAK" in os.environ
KILLS = 100 if SOAK else 5
LOOKS = 5


@pytest.mark.timeout(7200 if SOAK else 300)
def test_after_a_kill_no_write_is_doubled_and_no_lock_outlives_its_lease(
    hub: Any, fleet: Any
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    chance = random.Random(seed)
    for number in range(KILLS):
        when = f"seed {seed}, kill {number}"
        memories = [f"k{number}-{n}" for n in range(4)]
        new = [{"content": name, "memory_id": name, "metadata": {"n": 0}} for name in memories]
        with MemoryClient(hub.url) as client:
            assert client.batch_add_memories(new)["status"] == "success", when
        lines = killed_while_they_work(hub, f"{seed}-{number}", memories, chance)
        check(hub.url, memories, lines, when)
    hub.kill()
    assert fleet.json("recalld", "verify")["problems"] == []


def killed_while_they_work(
    hub: Any, name: str, memories: list[str], chance: random.Random
) -> Counter[str]:
    """Kill the clients, or the hub; what was tried, and what was acknowledged."""
    started = [killed_child.__file__, hub.url, name, *memories]
    with forked.start_talking(started) as process:
        assert process.stdout.readline() == "begun\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=chance.uniform(0.1, 1.5))
        if chance.random() < 0.5:
            hub.restart()  # on another port: what the clients still ask fails
        process.kill()
        out, _ = process.communicate()
    return Counter(line for line in out.split("\n") if line)


def check(url: str, memories: list[str], lines: Counter[str], when: str) -> None:
    with MemoryClient(url, session_id="after") as client:
        for name in memories:
            found = locked(client, name, when)
            if found is None:
                continue
            fence, memory = found
            count = memory["metadata"]["n"]
            assert lines[f"done {name}"] <= count <= lines[f"try {name}"], (name, lines, when)
            assert client.get_versions(name)["head"] == memory["version"], when
            told = client.release_lock(name, fence)
            assert told["status"] == "success", when


def locked(client: MemoryClient, name: str, when: str) -> tuple[int, dict[str, Any]] | None:
    """The fence of its lock, and the memory; None between its deletion and the undoing of it.

    The hub may still be at the last request of a client that was killed, which deletes or undoes,
    and whoever waited for a lock gets it although the memory was deleted meanwhile.
    """
    wait_s = 2 * (killed_child.LEASE_S + killed_child.WAIT_S)
    for _ in range(LOOKS):
        got, read = client.acquire_lock(name, wait_s=wait_s), client.get_memory(name)
        if got["status"] == read["status"] == "success":
            return got["lock"]["fence"], read["memory"]
        for told in (got, read):
            assert told.get("code", "memory_not_found") == "memory_not_found", (told, when)
        if client.why_forgotten(name)["state"] == "deleted":
            return None
    raise AssertionError((name, when))
