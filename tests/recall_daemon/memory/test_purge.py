"""The disk is purged once an interval, at once when asked, and no step of it twice."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # traces

from traces import SECRET, holding, records

from recall_daemon.jobs import Progress
from recall_daemon.memory.criteria import Criteria
from recall_wire.errors import BucketUnreachable
from recall_wire.records import Record

DAY = timedelta(days=1)


def data_dir(hub: Any) -> Path:
    folder: Path = hub.hub.core.settings.data_dir
    return folder


def forget(hub: Any, name: str, **options: Any) -> Any:
    return hub.hub.forgetting.forget(Criteria(ids=(name,)), **({"purge": False} | options))


async def test_forgets_of_an_interval_share_one_purge(open_test_hub: Any, publisher: Any) -> None:
    publisher.publish("a", 1, records(9, range(9)))
    async with open_test_hub() as hub:
        purge = hub.hub.forgetting.purge
        await hub.once()
        assert (purge.due_at(), purge.is_due()) == (None, False)

        first = forget(hub, "m0")
        assert first["purge_due_at"] == hub.clock[0].isoformat()  # none was made lately
        assert purge.is_due()
        await hub.hub.jobs.run("purge")
        purged_at = hub.clock[0]

        hub.clock[0] += timedelta(hours=1)
        second = forget(hub, "m1")
        publisher.publish("a", 2, [Record("m2", op="forget")])
        await hub.poll()
        assert (second["purge"], purge.is_due()) == ("pending", False)
        assert second["purge_due_at"] == (purged_at + DAY).isoformat()
        hub.clock[0] = purged_at - 100 * DAY  # set back: no longer than an interval from now
        assert purge.due_at() == hub.clock[0] + DAY
        hub.clock[0] = purged_at + DAY
        assert purge.is_due()
        await hub.hub.jobs.run("purge")
        assert (purge.is_pending(), purge.is_due()) == (False, False)

        told = forget(hub, "m3", purge=True)  # at once
        assert (told["purge"], told["purge_due_at"]) == ("done", None)


async def test_a_step_that_fails_has_none_before_it_done_again(
    open_test_hub: Any, publisher: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher.publish("a", 1, records(9, range(3)))
    async with open_test_hub() as hub:
        await hub.once()
        hub.clock[0] += 100 * DAY
        await hub.hub.jobs.run("age")
        publisher.publish("a", 2, [Record("h0", text="hot")])
        await hub.once()
        for name in ("m0", "m1", "m2"):
            forget(hub, name)
        core, done = hub.hub.core, []
        steps = {"cold": core.tiers.compaction, "store": core.store}
        for step, part in steps.items():
            rewrite = part.rewrite
            monkeypatch.setattr(
                part, "rewrite", lambda *a, s=step, r=rewrite: (done.append(s), r(*a))[1]
            )

        def away(_: Any) -> None:
            raise BucketUnreachable("the bucket is away")

        with monkeypatch.context() as patch:
            patch.setattr(core.index, "rebuild", away)
            for _ in range(3):
                run = await hub.hub.jobs.run("purge")
                assert (run.state, run.detail) == ("failed", "the bucket is away")
        assert hub.hub.forgetting.purge.is_due()
        assert done == ["cold", "store"]
        run = await hub.hub.jobs.run("purge")
        assert (run.state, done) == ("done", ["cold", "store"])
        assert holding(data_dir(hub)) == []
        hub.verify()

        forget(hub, "h0")  # a later one has each step to do again
        await hub.hub.jobs.run("purge")
        assert done == ["cold", "store", "store"]  # no file in use holds anything forgotten


async def test_a_thousand_forgets_share_one_purge(open_test_hub: Any, publisher: Any) -> None:
    publisher.publish("a", 1, records(40, range(20)))
    async with open_test_hub() as hub:
        await hub.once()
        for number in range(20):
            told = hub.hub.forgetting.forget(Criteria(ids=(f"m{number}",)), purge=False)
            assert told["purge"] == "pending"
        assert hub.search(SECRET, mode="words") == []
        assert "store.duckdb.wal" in holding(data_dir(hub))
        run = await hub.hub.jobs.run("purge")
        assert (run.state, run.detail) == ("done", "nothing that was forgotten is on this disk")
        assert holding(data_dir(hub)) == []
        assert not hub.hub.forgetting.purge.is_pending()
        inode = (data_dir(hub) / "store.duckdb").stat().st_ino
        await hub.hub.jobs.run("purge")
        assert (data_dir(hub) / "store.duckdb").stat().st_ino == inode  # not written again


async def test_what_an_instance_forgets_is_purged_too(open_test_hub: Any, publisher: Any) -> None:
    publisher.publish("a", 1, records(5, [2]))
    async with open_test_hub() as hub:
        await hub.once()
        assert not hub.hub.forgetting.purge.is_pending()
        publisher.publish("a", 2, [Record("m2", op="forget"), Record("never-seen", op="forget")])
        await hub.once()
        assert hub.hub.forgetting.purge.is_pending()
        await hub.hub.jobs.run("purge")
        assert holding(data_dir(hub)) == []
        publisher.publish("a", 3, [Record("not-here-either", op="forget")])
        await hub.once()
        assert not hub.hub.forgetting.purge.is_pending()


async def test_what_is_forgotten_while_a_purge_runs_waits_for_the_next(
    open_test_hub: Any, publisher: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher.publish("a", 1, records(5, [1, 2]))
    async with open_test_hub() as hub:
        await hub.once()
        hub.hub.forgetting.forget(Criteria(ids=("m1",)), purge=False)
        store = hub.hub.core.store
        rewrite = store.rewrite

        def and_forget() -> None:
            rewrite()
            hub.hub.forgetting.forget(Criteria(ids=("m2",)), purge=False)

        with monkeypatch.context() as patch:
            patch.setattr(store, "rewrite", and_forget)
            hub.hub.forgetting.purge.run(Progress())
        assert hub.hub.forgetting.purge.is_pending()
        hub.hub.forgetting.purge.run(Progress())
        assert not hub.hub.forgetting.purge.is_pending()
        assert holding(data_dir(hub)) == []
