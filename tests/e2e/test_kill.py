"""kill -9 of both programs at random instants: the hub holds the same memories in the end."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
from forked import killed_after

SOAK = "RECALLD_TEST_SOAK" in os.environ
KILLS = 200 if SOAK else 6
# Of Chinese, in which a secret is not looked for long; two bytes each where it is packed.
LARGE_CHARS = 2_600_000


def large_metadata(seed: int) -> str:
    """A document that does not compress below a multipart upload's first part, of 5 MiB."""
    chance = random.Random(seed)
    letters = bytearray(chance.randbytes(2 * LARGE_CHARS))
    letters[1::2] = letters[1::2].translate(bytes(0x4E + n % 64 for n in range(256)))
    return json.dumps({"k": letters.decode("utf-16-le")}, ensure_ascii=False)


@pytest.mark.timeout(3600 if SOAK else 600)
def test_killed_at_any_instant_nothing_is_lost_or_doubled(
    fleet: Any, write_db: Any, tmp_path: Path
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    chance = random.Random(seed)
    source = tmp_path / "source.duckdb"
    rows: dict[str, str | None] = {f"m{n}": f"memory number {n}" for n in range(300)}
    rows["large"] = "large"
    write_db(source, rows, metadata={"large": large_metadata(0)})
    uploading_s = fleet.timed("recall", "upload", str(source), system_id="a")
    merging_s = fleet.timed("recalld", "once")
    killed = 0
    for round_ in range(KILLS // 2):
        rows["large"] = f"large in round {round_}"
        rows |= {f"m{round_}-{n}": f"round {round_}, memory {n}" for n in range(20)}
        rows[f"m{round_}"] = f"changed in round {round_}"
        write_db(source, rows, metadata={"large": large_metadata(1 + round_ % 3)})
        upload = fleet.start("recall", "upload", str(source), system_id="a")
        killed += killed_after(upload, chance.uniform(0, uploading_s))
        once = fleet.start("recalld", "once")
        killed += killed_after(once, chance.uniform(0, merging_s))

    fleet.upload("a", source)
    fleet.run("recalld", "once")
    disturbed = fleet.json("recalld", "verify")
    status = fleet.json("recalld", "status")

    calm = type(fleet)(tmp_path / "calm")
    calm.upload("a", source)
    calm.run("recalld", "once")
    assert calm.json("recalld", "verify")["logical_hash"] == disturbed["logical_hash"], seed
    assert (disturbed["ok"], disturbed["problems"]) == (True, [])
    system = status["systems"][0]
    assert (system["rows"], system["missing"], system["quarantined"]) == (len(rows), [], [])
    assert status["backlog"] == 0
    assert leftovers(tmp_path / "bucket") == [], seed
    assert killed >= KILLS // 4, f"only {killed} of {KILLS} were still running when killed"


def leftovers(bucket: Path) -> list[str]:
    """Multipart uploads that nobody completed or aborted."""
    uploads = bucket / ".recall-tmp" / "multipart"
    return sorted(path.name for path in uploads.iterdir()) if uploads.exists() else []
