"""kill -9 in the middle of a delete, or of undoing one: there is no half of either."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # deleting_child

import deleting_child
import forked
from deleting_child import AGENT, COUNT, NOW, plant, settings

from recall_daemon.core import open_core
from recall_daemon.store import audit, audit_log

SOAK = "RECALLD_TEST_SOAK" in os.environ
KILLS = 100 if SOAK else 5


@pytest.mark.timeout(3600 if SOAK else 120)
def test_killed_at_any_instant_there_is_no_half_deletion(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    chance = random.Random(seed)
    folder = tmp_path / "hub"
    with open_core(settings(folder), now=lambda: NOW) as core:
        plant(core.shared(core.posts(lambda: None), lambda: None))
        with core.store.read() as connection:
            whole = audit.logical_hash(connection)
    for number in range(KILLS):
        kill_after(folder, chance.uniform(0.0, 0.4))
        with open_core(settings(folder), now=lambda: NOW) as core:
            check(core, whole, f"seed {seed}, kill {number}")


def check(core: Any, whole: str, when: str) -> None:
    """All of it is there, or nothing; whichever, it can be had."""
    with core.store.read() as connection:
        live = connection.execute("SELECT count(*) FROM memories WHERE state = 'live'").fetchall()[
            0
        ][0]
        related = connection.execute("SELECT count(*) FROM relationships").fetchall()[0][0]
        last = connection.execute(
            "SELECT deletion_id FROM deletions WHERE undone_at IS NULL"
        ).fetchall()
        assert (audit.problems(connection), audit_log.problems(connection)) == ([], []), when
    assert (live, related, len(last)) in ((COUNT, COUNT - 1, 0), (0, 0, 1)), when
    if last:
        shared = core.shared(core.posts(lambda: None), lambda: None)
        shared.deleting.undo(AGENT, last[0][0])
    with core.store.read() as connection:
        assert audit.logical_hash(connection) == whole, when


def kill_after(folder: Path, seconds: float) -> None:
    """Let a process delete and restore for some time after its first act."""
    with forked.start_talking([deleting_child.__file__, folder]) as process:
        assert [process.stdout.readline() for _ in "12"] == ["begun\n", "deleted\n"]
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=seconds)
        process.kill()
