"""A process that reads what another agent shares for ever, to be killed: `… DATA_FOLDER`.

It prints a line after each answer.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from recall_daemon.access.caller import LOCAL
from recall_daemon.agents.actor import Actor
from recall_daemon.core import open_core
from recall_daemon.settings import HubSettings

NOW = datetime(2026, 6, 1, tzinfo=UTC)
GUARD, HELPER = Actor(LOCAL, "guard"), Actor(LOCAL, "helper")


def settings(data_dir: Path) -> HubSettings:
    agents = [{"name": "guard"}, {"name": "helper"}]
    return HubSettings(
        data_dir=data_dir, bucket_url="file:///nowhere", embedder="hash", agents=agents
    )


def work(data_dir: Path) -> None:
    with open_core(settings(data_dir), now=lambda: NOW) as core:
        shared = core.shared(core.posts(lambda: None), lambda: None)
        while True:
            print(shared.memories.get(HELPER, "shared")["memory"]["memory_id"], flush=True)


if __name__ == "__main__":
    work(Path(sys.argv[1]))
