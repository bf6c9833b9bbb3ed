"""kill -9 while locks come and go: none outlives its lease, and no fence is given twice."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import forked
import pytest

from recall_daemon.errors import LockNotHeld, MemoryLocked, StaleFence
from recall_daemon.store import leasing, ledger, locks
from recall_daemon.store.leasing import Claim
from recall_daemon.store.store import Store

SOAK = os.environ.get("RECALLD_TEST_SOAK") == "1"
KILLS = 100 if SOAK else 2
CHILD = Path(__file__).with_name("locking_child.py")
NAME = ("laptop", "m")
LEASE = timedelta(seconds=300)


def killed(folder: Path, lines: int) -> dict[str, int]:
    """After so many lines: the newest fence that it said it had, and that it had written with."""
    process = forked.start_talking([CHILD, folder])
    said = [process.stdout.readline() for _ in range(lines)]
    process.kill()
    said += process.communicate()[0].splitlines(keepends=True)
    whole = [line.split() for line in said if line.endswith("\n")]
    return {what: int(fence) for what, fence in whole}


@pytest.mark.timeout(1200 if SOAK else 180)
def test_after_a_kill_no_lock_is_stuck_and_no_fence_is_given_twice(
    tmp_path: Path, with_store: Callable[[Path], Path]
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    chance = random.Random(seed)
    folder = with_store(tmp_path / "hub")
    for _ in range(KILLS):
        said = killed(folder, chance.randint(1, 40))
        store, now = Store(folder), datetime.now(UTC)
        with store.look_up() as connection:
            stands = locks.standing(connection, NAME, now)
            written = int(ledger.fact(connection, "written") or 0)
        assert stands.lock is not None, seed
        assert stands.lock.fence >= said["had"], seed
        assert written >= said.get("wrote", 0), seed

        held = stands.held(now)
        if held is not None:  # its client may take it up again, and others wait for it to run out
            assert held.expires_at is not None
            with pytest.raises(MemoryLocked), store.look_up() as connection:
                locks.check(connection, [NAME], holder="other", fences=None, now=now)
            now = held.expires_at
        claim = Claim(NAME, "other", LEASE, now)
        taken = store.write(lambda c, claim=claim, now=now: leasing.acquire(c, claim, now))  # type: ignore[misc]
        assert taken.lock is not None
        assert taken.lock.holder == "other", seed
        assert taken.lock.fence > stands.lock.fence, seed
        refused = (StaleFence, LockNotHeld)
        with pytest.raises(refused), store.look_up() as connection:
            locks.check(connection, [NAME], holder="child", fences=said["had"], now=now)
        store.write(lambda c, lock=taken.lock, now=now: leasing.force_release(c, lock, now))  # type: ignore[misc]
        store.close()
