"""A process whose clients hammer memories: `… URL NUMBER CLIENTS ROUNDS SEED MEMORY…`.

It prints what was acknowledged, and what should have been refused and was not.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from recall_client import MemoryClient

Answer = dict[str, Any]

# Shorter than the way there and back of two requests: it is over when another waits for it.
SHORT_S = 0.05

# Half of all acts are about so many memories.
HOT = 4


class Hammerer:
    """One client. `own` is its key in the metadata of every memory, which nobody else writes."""

    def __init__(
        self,
        url: str,
        name: str,
        memories: list[str],
        seed: str,
        *,
        lease_s: float = 60.0,
        wait_s: float = 60.0,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.lease_s, self.wait_s, self.say = lease_s, wait_s, say
        self.url, self.own, self.memories = url, name, memories
        self.client, self.other = self.session(name), self.session(f"{name}-other")
        self.chance = random.Random(seed)
        self.increments: Counter[str] = Counter()
        self.values: dict[str, int] = {}
        self.versions: dict[str, list[str]] = {}
        self.refused: Counter[str] = Counter()
        self.wrongs: list[str] = []
        self.stale = self.deleted = 0

    def session(self, name: str) -> MemoryClient:
        """Each session holds locks of its own."""
        return MemoryClient(self.url, session_id=name, timeout_s=120)

    def run(self, rounds: int) -> None:
        acts = [self.increment] * 4 + [self.write_own] * 3 + [self.come_late, self.delete]
        with self.client, self.other:
            for _ in range(rounds):
                some = self.chance.choice((self.memories[:HOT], self.memories))
                self.chance.choice(acts)(self.chance.choice(some))

    def worked(self, answer: Answer) -> bool:
        if answer["status"] != "success":
            self.refused[answer["code"]] += 1
        return bool(answer["status"] == "success")

    def locked(self, name: str) -> int | None:
        answer = self.client.acquire_lock(name, self.lease_s, self.wait_s)
        return int(answer["lock"]["fence"]) if self.worked(answer) else None

    def increment(self, name: str) -> None:
        """Under the lock, of the version that was read: nobody comes between."""
        fence = self.locked(name)
        if fence is None:
            return
        read = self.client.get_memory(name)
        if self.worked(read):
            metadata = read["memory"]["metadata"]
            self.say(f"try {name}")
            told = self.client.update_memory(
                name,
                metadata={**metadata, "n": metadata["n"] + 1},
                base_version=read["memory"]["version"],
                fence=fence,
            )
            if self.worked(told):
                self.say(f"done {name}")
                self.increments[name] += 1
                self.note(name, told, "advanced")
        self.client.release_lock(name, fence)

    def write_own(self, name: str) -> None:
        """Without a lock: what others write meanwhile is merged, key by key."""
        read = self.client.get_memory(name)
        if not self.worked(read):
            return
        metadata = read["memory"]["metadata"]
        value = metadata.get(self.own, 0) + 1
        told = self.client.update_memory(
            name,
            metadata={**metadata, self.own: value},
            base_version=read["memory"]["version"],
        )
        if self.worked(told):
            self.values[name] = value
            self.note(name, told, "advanced", "merged")

    def come_late(self, name: str) -> None:
        """Its lease runs out, another has the lock: its write comes too late."""
        answer = self.client.acquire_lock(name, SHORT_S, self.wait_s)
        if not self.worked(answer):
            return
        got = self.other.acquire_lock(name, self.lease_s, self.wait_s)
        if not self.worked(got):
            return
        late = self.client.update_memory(name, "too late", fence=answer["lock"]["fence"])
        if late["status"] == "success":
            self.wrongs.append(f"{name}: a write with an old fence was accepted")
        self.stale += 1
        self.other.release_lock(name, got["lock"]["fence"])

    def delete(self, name: str) -> None:
        fence = self.locked(name)
        if fence is None:
            return
        gone = self.client.delete_memory(name, fence=fence)
        if self.worked(gone):
            back = self.client.undo_delete(gone["deletion_id"], fence=fence)
            if not self.worked(back):
                self.wrongs.append(f"{name}: {back}")
            self.deleted += 1
        self.client.release_lock(name, fence)

    def note(self, name: str, told: Answer, *outcomes: str) -> None:
        self.versions.setdefault(name, []).append(told["version"])
        if told["outcome"] not in outcomes:
            self.wrongs.append(f"{name}: {told['outcome']}")

    def report(self) -> dict[str, Any]:
        names = ("own", "increments", "values", "versions", "refused", "wrongs", "stale", "deleted")
        return {name: getattr(self, name) for name in names}


def main(url: str, number: str, clients: str, rounds: str, seed: str, *memories: str) -> None:
    crew = [
        Hammerer(url, f"p{number}-{n}", list(memories), f"{seed} {number} {n}")
        for n in range(int(clients))
    ]
    with ThreadPoolExecutor(len(crew)) as pool:
        list(pool.map(lambda one: one.run(int(rounds)), crew))
    print(json.dumps([one.report() for one in crew]))


if __name__ == "__main__":
    main(*sys.argv[1:])
