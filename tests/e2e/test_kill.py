"""kill -9 of both programs at random instants: the hub holds the same memories in the end."""

from __future__ import annotations

import os
import random
import string
from pathlib import Path
from typing import Any

import pytest

SOAK = "RECALLD_TEST_SOAK" in os.environ
KILLS = 200 if SOAK else 10
LARGE_CHARS = 8_000_000


def large_text(seed: int) -> str:
    """Text that does not compress below a multipart upload's first parts."""
    return "".join(random.Random(seed).choices(string.printable, k=LARGE_CHARS))


@pytest.mark.timeout(3600 if SOAK else 600)
def test_killed_at_any_instant_nothing_is_lost_or_doubled(
    fleet: Any, write_db: Any, tmp_path: Path
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    chance = random.Random(seed)
    source = tmp_path / "source.duckdb"
    rows: dict[str, str | None] = {f"m{n}": f"memory number {n}" for n in range(300)}
    killed = 0
    for round_ in range(KILLS // 2):
        rows["large"] = large_text(round_ % 3)
        rows |= {f"m{round_}-{n}": f"round {round_}, memory {n}" for n in range(20)}
        rows[f"m{round_}"] = f"changed in round {round_}"
        write_db(source, rows)
        upload = fleet.start("recall", "upload", str(source), system_id="a")
        killed += kill_after(upload, chance.uniform(0.1, 1.8))
        once = fleet.start("recalld", "once")
        killed += kill_after(once, chance.uniform(0.3, 2.5))

    fleet.upload("a", source)
    fleet.run("recalld", "once")
    disturbed = fleet.json("recalld", "verify")
    status = fleet.json("recalld", "status")

    calm = type(fleet)(tmp_path / "calm")
    calm.upload("a", source)
    calm.run("recalld", "once")
    assert calm.json("recalld", "verify")["logical_hash"] == disturbed["logical_hash"], seed
    assert disturbed["problems"] == []
    system = status["systems"][0]
    assert (system["rows"], system["missing"], system["quarantined"]) == (len(rows), [], [])
    assert status["backlog"] == 0
    assert fleet.json("recalld", "verify")["ok"]
    assert leftovers(tmp_path / "bucket") == [], seed
    assert killed > KILLS // 4, f"only {killed} of {KILLS} were still running when killed"


def kill_after(process: Any, seconds: float) -> int:
    """Kill the process after some time, unless it has ended; returns whether it was killed."""
    try:
        process.communicate(timeout=seconds)
    except Exception:
        process.kill()
        process.communicate()
        return 1
    return 0


def leftovers(bucket: Path) -> list[str]:
    """Multipart uploads that nobody completed or aborted."""
    uploads = bucket / ".recall-tmp" / "multipart"
    return sorted(path.name for path in uploads.iterdir()) if uploads.exists() else []
