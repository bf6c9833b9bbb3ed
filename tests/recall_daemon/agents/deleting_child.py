"""A process that deletes a tree and brings it back for ever, to be killed: `… DATA_FOLDER`.

It prints a line when it begins, and one after each act.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from recall_daemon.access.caller import LOCAL
from recall_daemon.agents.actor import Actor
from recall_daemon.agents.shared import Shared
from recall_daemon.core import open_core
from recall_daemon.settings import HubSettings

NOW = datetime(2026, 6, 1, tzinfo=UTC)
AGENT = Actor(LOCAL, "helper")
COUNT = 30


def settings(data_dir: Path) -> HubSettings:
    return HubSettings(data_dir=data_dir, bucket_url="file:///nowhere", embedder="hash")


def plant(shared: Shared) -> None:
    """A tree of memories in which each is related to the root."""
    new = [
        {"content": f"the text of {n}", "memory_id": f"m{n}", "tags": ["t"]}
        | ({} if n == 0 else {"parent_id": f"m{(n - 1) // 2}"})
        for n in range(COUNT)
    ]
    shared.memories.add_batch(AGENT, {"memories": new})
    for n in range(1, COUNT):
        shared.relations.add(AGENT, {"from_id": f"m{n}", "to_id": "m0", "type": "part_of"})


def work(data_dir: Path) -> None:
    with open_core(settings(data_dir), now=lambda: NOW) as core:
        shared = core.shared(core.posts(lambda: None), lambda: None)
        print("begun", flush=True)
        while True:
            done = shared.deleting.delete(AGENT, "m0")["deletion_id"]
            print("deleted", flush=True)
            shared.deleting.undo(AGENT, done)
            print("restored", flush=True)


if __name__ == "__main__":
    work(Path(sys.argv[1]))
