"""One process of clients that change the same memories as those of other processes.

    python hammering.py URL PROCESS CLIENTS MEMORIES ROUNDS

Prints JSON: `counted`, how often each memory's counter was raised by an acknowledged change;
`stale`, the writes with an old fence that were taken; `wrong`, answers that cannot be; `deleted`.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from recall_client import LockRefused, MemoryClient

# What a client may be told where others are at the same memory.
LEASE_S = 0.05
BUSY = {"memory_locked", "memory_not_found", "memory_gone"}
FENCED = {"stale_fence", "lock_not_held", "memory_locked", "memory_not_found"}


class Hammer:
    """One client with a session of its own, so that it is a holder of its own."""

    def __init__(self, url: str, name: str, memories: int, rounds: int) -> None:
        self._client = MemoryClient(url, agent_id="hammer", session_id=name, timeout_s=60)
        self._late = MemoryClient(url, agent_id="hammer", session_id=f"{name}-late", timeout_s=60)
        self._random = random.Random(name)
        self._memories, self._rounds = memories, rounds
        self.counted: Counter[str] = Counter()
        self.wrong: list[Any] = []
        self.stale = self.deleted = 0

    def run(self) -> Hammer:
        acts = [self._count, self._count, self._count, self._tag, self._outlive, self._delete]
        first = self._random.randrange(len(acts))
        with self._client, self._late:
            for number in range(self._rounds):
                name = f"m{self._random.randrange(self._memories)}"
                acts[(number + first) % len(acts)](name)
        return self

    def _count(self, name: str) -> None:
        """A read, and a write that says what was read, under a lock: none of them may be lost."""
        try:
            with self._client.lock(name, wait_s=60):
                read = self._client.get_memory(name)
                if not self._is_done(read):
                    return
                memory = read["memory"]
                metadata = {**memory["metadata"], "count": memory["metadata"]["count"] + 1}
                told = self._client.update_memory(
                    name, metadata=metadata, base_version=memory["version"]
                )
                if self._is_done(told) and told["outcome"] == "advanced":
                    self.counted[name] += 1
                elif told["status"] == "success":
                    self.wrong.append(told)
        except LockRefused as refused:
            self._refused(str(refused.answer["code"]))

    def _tag(self, name: str) -> None:
        """A write without a lock, in another field."""
        read = self._client.get_memory(name)
        if self._is_done(read):
            tag = f"t{self._random.randrange(5)}"
            version = read["memory"]["version"]
            self._is_done(self._client.update_memory(name, tags=[tag], base_version=version))

    def _outlive(self, name: str) -> None:
        """A write with the fence of a lease that somebody else has had since."""
        old = self._late.acquire_lock(name, LEASE_S, 60)
        if not self._is_done(old):
            return
        try:
            with self._client.lock(name, wait_s=60):
                told = self._late.update_memory(
                    name, metadata={"count": -1}, fence=old["lock"]["fence"]
                )
                if told["status"] == "success":
                    self.stale += 1
                elif told["code"] not in FENCED:
                    self.wrong.append(told)
        except LockRefused as refused:
            self._refused(str(refused.answer["code"]))

    def _delete(self, name: str) -> None:
        """A memory is away for a moment, and comes back as it was."""
        try:
            with self._client.lock(name, wait_s=60) as held:
                told = self._client.delete_memory(name)
                if self._is_done(told):
                    undone = self._client.undo_delete(told["deletion_id"], fence=held.fence)
                    self.deleted += self._is_done(undone)
        except LockRefused as refused:
            self._refused(str(refused.answer["code"]))

    def _is_done(self, told: dict[str, Any]) -> bool:
        if told["status"] == "error" and told["code"] not in BUSY:
            self.wrong.append(told)
        return told["status"] == "success"

    def _refused(self, code: str) -> None:
        if code not in BUSY:
            self.wrong.append(code)


def main() -> None:
    url, process, clients, memories, rounds = sys.argv[1:]
    hammers = [
        Hammer(url, f"{process}-{number}", int(memories), int(rounds))
        for number in range(int(clients))
    ]
    with ThreadPoolExecutor(len(hammers)) as threads:
        done = list(threads.map(Hammer.run, hammers))
    told = {
        "counted": sum((one.counted for one in done), Counter()),
        "stale": sum(one.stale for one in done),
        "deleted": sum(one.deleted for one in done),
        "wrong": [wrong for one in done for wrong in one.wrong],
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
