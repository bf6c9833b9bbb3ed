"""No file of the data folder and, with rewrite, no object of the bucket holds a byte of it."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # traces

from traces import (
    DAYS_100,
    SECRET,
    data_dir,
    documents,
    holding,
    kept,
    keys,
    records,
    restored,
    secret,
)

from recall_daemon.errors import ForgetHeld, LogNotShipped
from recall_daemon.jobs import Progress
from recall_daemon.memory.criteria import Criteria
from recall_daemon.memory.snapshots import SnapshotRewriter
from recall_daemon.search.query import SearchRequest
from recall_daemon.store.ledger import Place
from recall_wire import layout
from recall_wire.errors import BucketUnreachable
from recall_wire.records import Record

SECRETS = (2, 3, 11)
# Which of the bucket's calls fail, one after the other; in the soak each.
STEP = 1 if "RECALLD_TEST_SOAK" in os.environ else 18
IDS = tuple(f"a/m{n}" for n in SECRETS)


def ages(hub: Any) -> Any:
    hub.clock[0] += DAYS_100
    return hub.hub.jobs.run("age")


def hub_id(hub: Any) -> str:
    return str(hub.hub.core.tiers.cold.hub_id)


async def test_on_this_machine_nothing_is_left_in_any_tier(
    open_test_hub: Any, publisher: Any, pusher: Any
) -> None:
    publisher.publish("a", 1, records(30, range(10)))
    async with open_test_hub() as hub:
        await hub.once()
        await ages(hub)  # those are cold now
        publisher.publish("a", 2, [Record(f"w{n}", text=secret(100 + n)) for n in range(10)])
        await hub.once()
        hub.clock[0] += timedelta(days=10)
        await hub.hub.jobs.run("age")  # and those warm
        publisher.publish("a", 3, [Record(f"h{n}", text=secret(200 + n)) for n in range(10)])
        publisher.publish("a", 4, [Record("h0", text=secret(300))])  # another version
        publisher.publish("a", 5, [Record("h1", op="delete")])
        await (pushed := pusher(hub, "b", 1, records(4, range(4)))).all()
        await hub.once()
        hub.hub.core.operations.search(SearchRequest(SECRET, limit=100))  # fills the cache
        before = holding(data_dir(hub))
        assert any(name.startswith("cache/cold/") for name in before)
        assert documents(data_dir(hub)) > 50
        assert any(name.startswith("store.duckdb") for name in before)

        receipt = hub.hub.forgetting.forget(Criteria(query=SECRET))
        again = hub.hub.forgetting.forget(Criteria(ids=("h1",)))

        assert (receipt["forgotten"], again["forgotten"]) == (33, 1)
        assert holding(data_dir(hub)) == []
        assert documents(data_dir(hub)) == 20  # of which terms are no grep can tell
        assert pushed.manifest.system_id in receipt["systems"]
        # A search that fetches the neighbours of what was cold does not bring it back either.
        hits = hub.hub.core.operations.search(SearchRequest("told here", limit=100))["hits"]
        assert {hit["memory_id"] for hit in hits} == {f"m{n}" for n in range(10, 30)}
        assert all(hit["text"] for hit in hits)
        assert list((data_dir(hub) / "cache" / "cold").iterdir())
        assert holding(data_dir(hub)) == []
        assert hub.hub.core.operations.verify(sample=20)["problems"] == []


async def test_the_receipt_names_every_object_that_holds_it_and_no_other(
    open_test_hub: Any, publisher: Any
) -> None:
    publisher.publish("a", 1, records(12, SECRETS))
    publisher.publish("b", 1, [Record("m2", text=kept(1))])
    async with open_test_hub() as hub:
        await hub.once()
        await hub.hub.jobs.run("backup")
        await ages(hub)
        publisher.publish("a", 2, [Record("m50", text=kept(50))])
        publisher.publish("a", 3, [Record("m3", text=secret(33))])
        await hub.once()
        await ages(hub)
        await hub.hub.jobs.run("backup")

        receipt = hub.hub.forgetting.forget(Criteria(ids=IDS))

        left = holding(publisher.root)
        backups = [f"hub/{hub_id(hub)}/backups/{b}/store.duckdb.zst" for b in left_backups(receipt)]
        assert sorted([*keys(receipt), *backups]) == left
        assert len(backups) == 2
        assert {held["holds"] for held in receipt["still_in"]} == {"yes"}
        hub.clock[0] += timedelta(days=1)
        await hub.hub.jobs.run("backup")  # the next generation
        again = hub.hub.forgetting.forget(Criteria(ids=IDS))
        assert again["older_backups"] == receipt["older_backups"]


def left_backups(receipt: Any) -> list[str]:
    return list(receipt["older_backups"])


async def rewritable(open_test_hub: Any, publisher: Any, folder: str = "hub") -> None:
    """A bucket with the secret in snapshots, cold files, two backups; the newest snapshot too."""
    publisher.publish("a", 1, records(12, SECRETS))
    publisher.publish("a", 2, [Record("m3", text=secret(33)), Record("m4", op="delete")])
    async with open_test_hub(folder) as hub:
        await hub.once()
        await hub.hub.jobs.run("backup")
        await ages(hub)
        publisher.publish("a", 3, [Record("m2", text=secret(22)), Record("m60", text=kept(60))])
        await hub.once()
        await ages(hub)
        await hub.hub.jobs.run("backup")


async def test_rewrite_leaves_nothing_in_the_bucket(open_test_hub: Any, publisher: Any) -> None:
    await rewritable(open_test_hub, publisher)
    heads = {path: path.read_bytes() for path in (publisher.root / "heads").iterdir()}
    async with open_test_hub() as hub:
        hub.clock[0] += 3 * DAYS_100
        receipt = hub.hub.forgetting.forget(Criteria(ids=IDS), rewrite=True)

        assert holding(publisher.root) == holding(data_dir(hub)) == []
        assert (keys(receipt), receipt["older_backups"], receipt["notes"]) == ([], [], [])
        assert len([name for name in receipt["rewritten"] if name.startswith("systems/a")]) == 3
        assert len([name for name in receipt["rewritten"] if name.startswith("backup ")]) == 2
        assert {path: path.read_bytes() for path in (publisher.root / "heads").iterdir()} == heads
        assert len(hub.hub.archive.backups.manifests()) == 1
        assert hub.hub.core.operations.verify(sample=20)["problems"] == []
        before = hub.verify()
        again = hub.hub.forgetting.forget(Criteria(ids=IDS), rewrite=True)
        assert again["rewritten"] == []
        report = await hub.once()
        assert (report.merged, report.quarantined) == (0, 0)

    async with open_test_hub("new") as hub:  # every snapshot is whole and can be read
        await hub.once()
        assert sorted(hub.texts("a")) == sorted([*(f"m{n}" for n in (0, 1, *range(5, 11))), "m60"])
        assert hub.system("a")["quarantined"] == []

    prepared = restored(publisher, data_dir(hub).with_name("restored"))
    assert prepared.could_be_missing == []
    async with open_test_hub("restored") as hub:
        await hub.once()
        assert hub.verify() == before


async def test_what_was_forgotten_before_is_rewritten_later(
    open_test_hub: Any, publisher: Any
) -> None:
    publisher.publish("a", 1, records(6, [2, 3]))
    publisher.publish("b", 1, records(6, [4]))
    async with open_test_hub() as hub:
        await hub.once()
        first = hub.hub.forgetting.forget(Criteria(query=SECRET))
        assert len(keys(first)) == 2
        publisher.publish("b", 2, [Record("m0", op="forget")])
        await hub.once()
        # The query finds nothing any more; what it found is meant all the same.
        later = hub.hub.forgetting.forget(Criteria(query=SECRET), rewrite=True)
        assert (later["forgotten"], later["forgotten_before"]) == (0, 4)
        assert len(later["rewritten"]) == 2
        assert holding(publisher.root) == []
        assert holding(publisher.root, kept(0)) != []  # in a; that of b went, too
        assert len(holding(publisher.root, kept(0))) == 1


async def test_a_restore_from_an_older_backup_does_not_bring_it_back(
    open_test_hub: Any, publisher: Any
) -> None:
    publisher.publish("a", 1, records(12, SECRETS))
    async with open_test_hub() as hub:
        await hub.once()
        await hub.hub.jobs.run("backup")
        hub.hub.forgetting.forget(Criteria(ids=IDS))
        before = hub.verify()

    restored(publisher, data_dir(hub).with_name("restored"))
    async with open_test_hub("restored") as hub:
        assert hub.hub.forgetting.purge.is_pending()
        await hub.once()
        assert hub.verify() == before
        assert hub.search(SECRET, mode="words") == []
        await hub.hub.jobs.run("purge")
        assert holding(data_dir(hub)) == []
        # The backup of the hub before this one still has it, whatever its numbers say.
        receipt = hub.hub.forgetting.forget(Criteria(ids=IDS))
        assert len(receipt["older_backups"]) == 1


async def test_a_row_forgotten_while_its_cold_file_is_written_is_purged_again(
    open_test_hub: Any, publisher: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher.publish("a", 1, records(12, SECRETS))
    async with open_test_hub() as hub:
        await hub.once()
        cold = hub.hub.core.tiers.cold
        put = cold.put

        def and_forget(rows: Any) -> Any:
            file = put(rows)
            hub.hub.forgetting.forget(Criteria(ids=("m3",)))
            return file

        with monkeypatch.context() as patch:
            patch.setattr(cold, "put", and_forget)
            await ages(hub)
        assert hub.hub.forgetting.purge.is_pending()
        await hub.hub.jobs.run("purge")
        hub.hub.forgetting.forget(Criteria(ids=IDS), rewrite=True)
        assert holding(publisher.root) == holding(data_dir(hub)) == []


async def test_what_no_hub_may_rewrite_is_named_with_the_reason(
    open_test_hub: Any, publisher: Any
) -> None:
    publisher.publish("a", 1, records(3, [1]))
    async with open_test_hub() as hub:
        await hub.once()
        bucket = publisher.bucket
        data = next((publisher.root / "systems").rglob("memories-*.parquet")).read_bytes()
        bucket.put("systems/a/other.parquet", data)  # another tool's
        bucket.put(layout.data_key("a", 9, "memories-half.parquet"), data)  # without a manifest
        (publisher.root / "hub" / "0000deadbeef" / "backups").mkdir(parents=True)
        (publisher.root / "hub" / "0000deadbeef" / "backups" / "x").write_bytes(b"x")
        bucket.delete(layout.head_key("a"))

        receipt = hub.hub.forgetting.forget(Criteria(ids=("a/m1",)), rewrite=True)

        why = {held["key"].rpartition("/")[2]: held["kept"] for held in receipt["still_in"]}
        assert "only its owner" in why["other.parquet"]
        assert "has not merged it" in why["memories-half.parquet"]
        assert "forget it there" in why[""]
        assert ["no head covers it" in said for said in why.values()].count(True) == 1
        assert receipt["rewritten"] == []
        assert len(holding(publisher.root)) == 3


async def test_the_bucket_fails_at_any_call_and_the_next_run_goes_on(
    open_test_hub: Any, publisher: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await rewritable(open_test_hub, publisher)
    for name in ("hub", "bucket"):
        shutil.copytree(tmp_path / name, tmp_path / "kept" / name)
    failing_at = 1
    while True:
        for name in ("hub", "bucket"):
            shutil.rmtree(tmp_path / name)
            shutil.copytree(tmp_path / "kept" / name, tmp_path / name)
        async with open_test_hub() as hub:
            hub.clock[0] += 3 * DAYS_100
            with monkeypatch.context() as patch:
                calls = fail_at(patch, type(hub.hub.archive.bucket), failing_at)
                with suppress(ForgetHeld, LogNotShipped):
                    hub.hub.forgetting.forget(Criteria(ids=IDS), rewrite=True, purge=False)
            hub.hub.forgetting.forget(Criteria(ids=IDS), rewrite=True)
            assert holding(publisher.root) == holding(data_dir(hub)) == [], failing_at
            hub.verify()
        if len(calls) < failing_at:
            break
        failing_at += STEP
    assert len(calls) > 30


def fail_at(patch: pytest.MonkeyPatch, kind: Any, number: int) -> list[str]:
    """The calls that were made until then, as they are made."""
    calls: list[str] = []

    def failing(name: str, inner: Any) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            calls.append(name)
            if len(calls) == number:
                raise BucketUnreachable("the line is cut")
            return inner(*args, **options)

        return call

    for name in ("get", "head", "put", "delete", "download"):
        patch.setattr(kind, name, failing(name, getattr(kind, name)))
    return calls


async def test_a_snapshot_of_which_nothing_is_left_stays_one(
    open_test_hub: Any, publisher: Any, tmp_path: Path
) -> None:
    publisher.publish("a", 1, [Record("m0", text=secret(0), tags=("t",), metadata='{"k": 1}')])
    publisher.publish("a", 2, [Record("m1", text=kept(1))])
    async with open_test_hub() as hub:
        await hub.once()
        with hub.hub.core.store.read() as connection:
            known = connection.execute("SELECT seq, manifest_sha256 FROM snapshots").fetchall()
        hub.hub.forgetting.forget(Criteria(ids=("m0",)), rewrite=True)
        assert holding(publisher.root) == []
        with hub.hub.core.store.read() as connection:
            now = connection.execute(
                "SELECT seq, manifest_sha256 FROM snapshots WHERE sub = 0 ORDER BY seq"
            ).fetchall()
        assert now == sorted(known)  # by which its instance knows it again
        rewriter = SnapshotRewriter(hub.hub.core.store, publisher.bucket, tmp_path)
        assert rewriter.take_out(Place("a", 1), {"a": ["m0"]}) is None  # again, with nothing to do
    async with open_test_hub("new") as hub:
        report = await hub.once()
        assert (report.merged, report.quarantined) == (2, 0)
        assert hub.texts("a") == {"m1": kept(1)}


async def test_what_a_backup_that_was_cut_off_left_goes_too(
    open_test_hub: Any, publisher: Any
) -> None:
    publisher.publish("a", 1, records(3, [1]))
    async with open_test_hub() as hub:
        await hub.once()
        await hub.hub.jobs.run("backup")
        (marker,) = publisher.root.rglob("backup.json")
        marker.unlink()  # as a kill between its two deletes would leave it
        receipt = hub.hub.forgetting.forget(Criteria(ids=("m1",)), rewrite=True)
        assert receipt["older_backups"] == []
        assert holding(publisher.root) == []


async def test_what_a_killed_process_left_half_done_goes_at_the_next_start(
    open_test_hub: Any, tmp_path: Path
) -> None:
    for name in ("tmp", "spool/x", "spool-cold/cold-x", "spool-forget/x", "backup", "restore"):
        folder = tmp_path / "hub" / name
        folder.mkdir(parents=True)
        (folder / "half").write_text(secret(1))
    async with open_test_hub() as hub:
        assert holding(data_dir(hub)) == []
        hub.hub.forgetting.purge.run(Progress())
