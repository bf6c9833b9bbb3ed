"""Lose the hub, restore it from the bucket: the same logical hash, also when killed on the way."""

from __future__ import annotations

import os
import random
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from forked import killed_after

from recall_daemon.store import journal, ledger
from recall_daemon.store.forget import forget_rows
from recall_daemon.store.store import Store

SOAK = os.environ.get("RECALLD_TEST_SOAK") == "1"
KILLS = 100 if SOAK else 5


def forget(folder: Path, *ids: str) -> None:
    """The rows and the journal in one transaction, as every forget does."""
    now = datetime.now(UTC)

    def work(connection: Any) -> None:
        body = {"identities": [["a", name] for name in ids]}
        entry_no = journal.append(connection, "forget", body, now)
        forget_rows(connection, [("a", name) for name in ids], entry_no, now)

    store = Store(folder)
    store.write(work)
    store.close()


def hub_id(folder: Path) -> str:
    store = Store(folder)
    with store.read() as connection:
        found = ledger.fact(connection, "hub_id")
    store.close()
    return str(found)


def text(number: int, seed: int = 0) -> str:
    return f"{number} " + random.Random(number + seed).randbytes(300).hex()


class Story:
    """A hub with everything: hot, warm and cold rows, forgets before and after its backup."""

    def __init__(self, fleet: Any, write_db: Any, tmp_path: Path) -> None:
        self.fleet = fleet
        self.folder = tmp_path / "hub"
        self.source = tmp_path / "source.duckdb"
        self.write_db = write_db
        self.rows: dict[str, str | None] = {f"m{n}": text(n) for n in range(400)}
        self.all_cold = tmp_path / "all_cold.yaml"
        self.all_cold.write_text("warm_after_s: 0\ncold_after_s: 0\n")

    def before_backup(self) -> None:
        self.upload()
        self.fleet.run("recalld", "once")
        self.fleet.run("recalld", "age", "--config", str(self.all_cold))
        forget(self.folder, "m1", "m2")

    def after_backup(self) -> None:
        self.rows |= {"m3": "changed", "new": "a new one", "hot": "hot"}
        del self.rows["m4"]
        self.upload()
        self.fleet.run("recalld", "once")
        forget(self.folder, "m5", "new", "never seen")
        self.fleet.run("recalld", "jobs", "run", "log")

    def upload(self) -> None:
        self.write_db(self.source, self.rows)
        self.fleet.upload("a", self.source)

    def hash(self) -> str:
        answer = self.fleet.json("recalld", "verify")
        assert answer["problems"] == []
        return str(answer["logical_hash"])

    def lose_the_hub(self) -> None:
        shutil.rmtree(self.folder)

    def hashed_and_lost(self) -> str:
        wanted = self.hash()
        self.lose_the_hub()
        return wanted


@pytest.fixture
def story(fleet: Any, write_db: Any, tmp_path: Path) -> Story:
    return Story(fleet, write_db, tmp_path)


@pytest.mark.timeout(180)
def test_the_same_memories_after_the_loss_of_the_hub(story: Story) -> None:
    story.before_backup()
    made = story.fleet.json("recalld", "backup")
    assert made["cold_files"] > 0
    assert story.fleet.json("recalld", "backup", "list")["backups"] == [made]
    story.after_backup()
    wanted = story.hashed_and_lost()

    answer = story.fleet.json("recalld", "restore")
    assert answer["logical_hash"] == wanted
    assert (answer["backup"], answer["log_entries"]) == (made["backup_id"], 1)
    assert answer["merged"] == 1
    assert len(answer["could_be_missing"]) == 1  # what is always said
    assert story.hash() == wanted

    refused = story.fleet.run("recalld", "restore", code=2)
    assert "is not empty" in refused.stderr
    story.lose_the_hub()
    for key in (story.folder.parent / "bucket" / "hub").glob("*/cold/*"):
        key.unlink()
    told = story.fleet.json("recalld", "restore")["could_be_missing"]
    assert any("cold" in sentence and "is absent" in sentence for sentence in told)


@pytest.mark.timeout(120)
def test_without_a_backup_the_log_and_the_snapshots_do(story: Story) -> None:
    story.before_backup()
    story.after_backup()
    name = hub_id(story.folder)
    wanted = story.hashed_and_lost()
    answer = story.fleet.json("recalld", "restore")
    assert (answer["hub_id"], answer["backup"], answer["log_entries"]) == (name, None, 2)
    assert answer["logical_hash"] == wanted
    assert story.hash() == wanted
    assert hub_id(story.folder) == name


@pytest.mark.timeout(120)
def test_back_to_a_time(story: Story) -> None:
    story.upload()
    story.fleet.run("recalld", "once")
    story.fleet.run("recalld", "backup")
    story.rows["second"] = "second"
    story.upload()
    story.fleet.run("recalld", "once")
    wanted = story.hash()
    then = datetime.now(UTC).isoformat()
    story.rows["third"] = "third"
    story.upload()
    story.fleet.run("recalld", "once")
    assert story.hashed_and_lost() != wanted
    answer = story.fleet.json("recalld", "restore", "--to", then)
    assert (answer["merged"], answer["logical_hash"]) == (1, wanted)


@pytest.mark.timeout(7200 if SOAK else 600)
def test_killed_at_any_instant(story: Story) -> None:
    story.before_backup()
    seed = random.SystemRandom().randrange(10**6)
    chance = random.Random(seed)
    killed = killed_at_random(story, "backup", chance, lambda: None)
    story.fleet.run("recalld", "backup")
    story.after_backup()
    wanted = story.hashed_and_lost()

    def after_kill() -> None:
        """Nothing, or a store in its place with backup and log complete."""
        if (story.folder / "store.duckdb").exists():
            process = story.fleet.start("recalld", "restore")
            _, said = process.communicate()
            # Refused where the killed run had come to its end.
            assert process.returncode == 0 or "is not empty" in said, seed
            assert story.hash() == wanted, seed
            story.lose_the_hub()

    killed += killed_at_random(story, "restore", chance, after_kill)
    assert story.fleet.json("recalld", "restore")["logical_hash"] == wanted, seed
    assert story.hash() == wanted, seed
    assert killed > KILLS // 2, f"only {killed} of {2 * KILLS} were still running when killed"


def killed_at_random(story: Story, command: str, chance: random.Random, after: Any) -> int:
    """`KILLS` runs of a command, each killed at some instant of its work; how many were."""
    took_s = story.fleet.timed("recalld", command)
    killed = 0
    for _ in range(KILLS):
        after()
        process = story.fleet.start("recalld", command)
        killed += killed_after(process, chance.uniform(0, took_s))
    after()
    return killed


@pytest.mark.timeout(120)
def test_the_daemon_that_runs_does_it(hub: Any, fleet: Any, write_db: Any, tmp_path: Path) -> None:
    write_db(tmp_path / "source.duckdb", {"m1": "one"})
    fleet.upload("a", tmp_path / "source.duckdb")
    made = fleet.json("recalld", "backup")
    assert fleet.json("recalld", "backup", "list")["backups"] == [made]
    jobs = {job["kind"]: job for job in fleet.json("recalld", "jobs")["jobs"]}
    assert jobs["backup"]["state"] == "done"
    assert made["backup_id"] in jobs["backup"]["detail"]
    assert fleet.json("recalld", "jobs", "run", "log")["state"] == "done"
    assert fleet.json("recalld", "expire", "--dry-run")["snapshots"] == []
    assert "there is no job" in fleet.run("recalld", "jobs", "run", "x", code=2).stderr
    assert "another recalld" in fleet.run("recalld", "restore", code=3).stderr
