"""kill -9 of a hub that changes its model, at random instants: nothing is lost, it completes."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import duckdb
import pytest
from forked import killed_after

SOAK = "RECALLD_TEST_SOAK" in os.environ
KILLS = 100 if SOAK else 5
ROWS = 1_000


@pytest.mark.timeout(3600 if SOAK else 600)
def test_killed_at_any_instant_of_a_model_change_it_completes(
    fleet: Any, write_db: Any, tmp_path: Path
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    chance = random.Random(seed)
    source = tmp_path / "source.duckdb"
    write_db(source, {f"m{n}": f"memory number {n}: {'salt ' * (n % 200)}" for n in range(ROWS)})
    fleet.upload("a", source)
    fleet.run("recalld", "once")
    before = fleet.json("recalld", "verify")
    fleet.extra["EMBEDDER"] = "hash:2"
    changing_s = fleet.timed("recalld", "once")
    model, killed = "hash", 0
    for _ in range(KILLS):
        # Setting it back and forth: at each instant another of the two may be the one that serves.
        fleet.extra["EMBEDDER"] = model
        changing = fleet.start("recalld", "once")
        killed += killed_after(changing, chance.uniform(0, changing_s))
        if chance.random() < 0.5:
            model = "hash" if model == "hash:2" else "hash:2"
    fleet.extra["EMBEDDER"] = "hash:2"
    fleet.run("recalld", "once")

    after = fleet.json("recalld", "verify")
    assert after["problems"] == [], seed
    assert after["logical_hash"] == before["logical_hash"], seed
    (store,) = tmp_path.rglob("store.duckdb")
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{store}' AS store (READ_ONLY)")
        spaces = connection.sql("SELECT space_id, state FROM store.spaces").fetchall()
        passages = connection.sql(
            "SELECT space_id, count(DISTINCT text_hash) FROM store.passages GROUP BY space_id"
        ).fetchall()
    assert spaces == [("hash@2:384", "serving")], seed
    assert passages == [("hash@2:384", ROWS)], seed
    assert killed >= KILLS // 4, f"only {killed} of {KILLS} were still running when killed"
