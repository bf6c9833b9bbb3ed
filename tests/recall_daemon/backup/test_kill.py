"""kill -9 in the middle of the work itself: no half backup counts, no half store is there."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path
from typing import Any

import forked
import pytest

from recall_daemon.backup.shelf import Shelf
from recall_daemon.store import audit
from recall_daemon.store.store import Store
from recall_wire import layout

HUB = "0123456789ab"
SOAK = os.environ.get("RECALLD_TEST_SOAK") == "1"
KILLS = 100 if SOAK else 10
ROWS = 1_000
CHILD = Path(__file__).with_name("child.py")


def killed_at_work(command: str, folder: Path, url: str, after_s: float) -> None:
    """A child that works without end, killed that long after it began."""
    process = forked.start_talking([CHILD, command, folder, url])
    assert process.stdout.readline() == "at work\n"
    assert forked.killed_after(process, after_s), "it ended by itself"


@pytest.mark.timeout(1800 if SOAK else 300)
def test_a_killed_backup_or_restore_leaves_nothing_half(
    open_keeper: Any, restored: Any, tmp_path: Path
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    chance = random.Random(seed)
    url = f"file://{tmp_path / 'bucket'}"
    with open_keeper("hub") as keeper:
        keeper.merge(1, *(chance.randbytes(200).hex() for _ in range(ROWS)))
        keeper.forget("m1-0")
        keeper.archive().log.ship_now()
        keeper.backup()

    for _ in range(KILLS):
        killed_at_work("backup", tmp_path / "hub", url, chance.uniform(0, 0.8))
    with open_keeper("hub") as keeper:
        shelf = Shelf(keeper.bucket, HUB)
        for name in shelf.whole():
            key = layout.backup_key(HUB, name, layout.BACKUP_STORE)
            assert keeper.bucket.head(key).bytes == shelf.read(name).bytes, seed
        keeper.clock[0] = shelf.read(shelf.whole()[0]).created_at
        keeper.forget("m1-1")
        keeper.archive().log.ship_now()
        keeper.backup()
        assert len(keeper.keys(layout.backups_prefix(HUB))) == 2 * len(shelf.whole()), seed
        bucket, wanted = keeper.bucket, keeper.logical_hash()

    for number in range(KILLS):
        folder = tmp_path / f"new{number}"
        killed_at_work("restore", folder, url, chance.uniform(0, 0.8))
        if (folder / "store.duckdb").exists():  # then it is all there
            store = Store(folder)
            with store.read() as connection:
                assert audit.logical_hash(connection) == wanted, seed
            store.close()
            shutil.rmtree(folder)
        with restored(bucket, folder.name) as (_, found):
            assert found.logical_hash() == wanted, seed
