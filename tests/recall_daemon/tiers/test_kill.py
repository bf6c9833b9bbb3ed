"""kill -9 of a process that ages and compacts, at random instants: every text is still there."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # ageing_child

import ageing_child
import forked

from recall_daemon.store import audit, ledger
from recall_daemon.store.memories import by_row_ids
from recall_daemon.store.store import Store

SOAK = "RECALLD_TEST_SOAK" in os.environ
KILLS = 100 if SOAK else 10


@pytest.mark.timeout(3600 if SOAK else 300)
def test_killed_at_any_instant_no_text_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    chance = random.Random(seed)
    monkeypatch.setattr(ageing_child.ageing, "BATCH_ROWS", 40)
    monkeypatch.setattr(ageing_child.compaction, "TARGET_ROWS", 200)
    data_dir, bucket = tmp_path / "hub", tmp_path / "bucket"
    bucket.mkdir()
    for number in range(KILLS):
        kill_after(data_dir, bucket, number % 2, chance.uniform(0.0, 0.8))
        store = Store(data_dir)
        check(store, data_dir, bucket, seed)
        store.close()

    store = Store(data_dir)
    last = ageing_child.next_round(store)
    ageing_child.play(store, data_dir, bucket, last)
    disturbed = check(store, data_dir, bucket, seed)
    store.close()
    assert last > 2, f"only {last} rounds in {KILLS} lives"
    assert disturbed == calm(tmp_path / "calm", last), seed


def kill_after(data_dir: Path, bucket: Path, rounds: int, seconds: float) -> None:
    """Let a process work for some rounds, however slow this machine is, and some time more."""
    with forked.start_talking([ageing_child.__file__, data_dir, bucket]) as process:
        assert process.stdout.readline() == "begun\n"
        assert all(process.stdout.readline() for _ in range(rounds))
        try:
            process.wait(timeout=seconds)
            raise AssertionError("the process ended by itself")
        except subprocess.TimeoutExpired:
            process.kill()


def check(store: Store, data_dir: Path, bucket: Path, seed: int) -> tuple[str, Any]:
    """The logical hash and every text, of a store that agrees with itself and with its bucket."""
    with store.read() as connection:
        assert audit.problems(connection) == [], seed
        ids = [row[0] for row in connection.execute("SELECT row_id FROM memories").fetchall()]
        rows = by_row_ids(connection, ids)
        round_ = ledger.highest_settled(connection, "a") - 1
        logical_hash = audit.logical_hash(connection)
    tiers = ageing_child.open_tiers(store, data_dir, bucket, ageing_child.START)
    full = tiers.texts.with_texts(rows)
    tiers.close()
    assert [row.text_missing for row in full.values() if row.text_missing] == [], seed
    texts = {row.memory_id: row.text for row in full.values()}
    assert texts == expected(round_), seed
    return logical_hash, texts


def expected(round_: int) -> dict[str, str | None]:
    texts: dict[str, str | None] = {}
    for number in range(round_ + 1):
        for record in ageing_child.rows_of(number):
            texts[record.memory_id] = record.text
            if record.op == "delete":
                del texts[record.memory_id]
    return texts


def calm(folder: Path, last: int) -> tuple[str, Any]:
    """The same rounds, undisturbed."""
    folder.mkdir()
    (folder / "bucket").mkdir()
    store = Store(folder / "hub")
    store.write(lambda c: ledger.set_fact(c, "hub_id", "h1"))
    for round_ in range(last + 1):
        ageing_child.play(store, folder / "hub", folder / "bucket", round_)
    answer = check(store, folder / "hub", folder / "bucket", 0)
    store.close()
    return answer
