"""kill -9 in the middle of forgetting; done again, it leaves nothing anywhere."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # traces, forgetting_child

import forgetting_child
import forked
from traces import DAYS_100, SECRET, holding, kept, records, secret

from recall_daemon.errors import NothingToForget
from recall_wire.records import Record

SOAK = "RECALLD_TEST_SOAK" in os.environ
KILLS = 100 if SOAK else 10
COUNT = 300 if SOAK else 100


@pytest.mark.timeout(3600 if SOAK else 300)
async def test_killed_at_any_instant_and_done_again(
    open_test_hub: Any, publisher: Any, tmp_path: Path
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    chance = random.Random(seed)
    await filled(open_test_hub, publisher)
    for number in range(KILLS):
        again = tmp_path / f"kill{number}"
        for name in ("hub", "bucket"):
            shutil.copytree(tmp_path / name, again / name)
        was_done = kill_after(again, chance.uniform(0.0, 0.8))
        try:
            forgetting_child.forget(again / "hub", again / "bucket", SECRET)
        except NothingToForget:
            raise AssertionError(
                f"seed {seed}: {'done' if was_done else 'killed'} before"
            ) from None
        assert holding(again / "hub") == [], seed
        assert holding(again / "bucket") == [], seed
        async with open_test_hub(f"{again.name}/hub", bucket_url=f"file://{again}/bucket") as hub:
            await hub.once()
            hub.verify()
            assert len(hub.texts("a")) == COUNT // 2 + 1, seed
        shutil.rmtree(again)


async def filled(open_test_hub: Any, publisher: Any) -> None:
    """A hub and its bucket with the secret in every second memory, most of them cold."""
    publisher.publish("a", 1, records(COUNT, range(0, COUNT, 2)))
    async with open_test_hub() as hub:
        await hub.once()
        hub.clock[0] += DAYS_100
        await hub.hub.jobs.run("age")
        again = [Record(f"m{n}", text=secret(1000 + n)) for n in range(0, 40, 2)]
        publisher.publish("a", 2, [*again, Record("last", text=kept(COUNT))])
        await hub.once()
        await hub.hub.jobs.run("backup")


def kill_after(folder: Path, seconds: float) -> bool:
    """Let a process forget for some time; whether it came to its end."""
    child = [forgetting_child.__file__, folder / "hub", folder / "bucket", SECRET]
    with forked.start_talking(child) as process:
        assert process.stdout.readline() == "begun\n"
        try:
            return bool(process.wait(timeout=seconds) == 0)
        except subprocess.TimeoutExpired:
            process.kill()
            return False
