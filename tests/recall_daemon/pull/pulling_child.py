"""A process whose children pull, each until it is killed: `pulling_child.py FOLDER URL KILLS SEED`.

The libraries are loaded once, and each child is forked before anything is opened.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from pathlib import Path

# Loaded before the first fork: a child would take a second for it.
import recall_daemon.pull.client
from recall_daemon.app import open_pull
from recall_daemon.core import open_core
from recall_daemon.settings import HubSettings


def pull_for_ever(data_dir: Path, url: str, begun: int) -> None:
    """Ask again and again for all there is; say so at `begun` when the first answer is in."""

    async def again() -> None:
        settings = HubSettings(data_dir=data_dir, embedder="hash")
        with open_core(settings) as core, open_pull(core) as pull:
            while True:
                await pull.sync_all_instances([url], limit=5_000, wait=False)
                os.write(begun, b".")

    asyncio.run(again())


def kill_some(data_dir: Path, url: str, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(kills):
        reading, begun = os.pipe()
        child = os.fork()
        if child == 0:
            pull_for_ever(data_dir, url, begun)
        os.close(begun)
        assert os.read(reading, 1) == b".", "it has ended"
        time.sleep(chance.uniform(0, 0.3))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reading)


if __name__ == "__main__":
    assert recall_daemon.pull.client
    kill_some(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
