"""Only what is merged, old, the same in the bucket, and in two backups ever expires."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest

from recall_daemon.backup.expiry import Expiry
from recall_daemon.jobs import Progress
from recall_wire import layout
from recall_wire.errors import RecallError
from recall_wire.records import Record

DAY = timedelta(days=1)


@pytest.fixture
def hub_with(publisher: Any, open_test_hub: Any) -> Any:
    """A hub that has merged five snapshots of `a`, ten days ago."""

    @asynccontextmanager
    async def opened(folder: str = "hub", **settings: Any) -> AsyncIterator[Any]:
        for seq in range(1, 6):
            publisher.publish("a", seq, [Record(f"m{seq}", text=f"text {seq}")])
        values = {"expire_snapshots_after_s": 86_400.0 * 5} | settings
        async with open_test_hub(folder, **values) as hub:
            await hub.once()
            hub.clock[0] += 10 * DAY
            yield hub

    return opened


def backup(hub: Any, count: int = 1) -> None:
    for _ in range(count):
        hub.clock[0] += DAY  # of one day only the newest stays
        hub.hub.archive.backups.run(Progress())


def planned(hub: Any) -> list[int]:
    return [item["seq"] for item in hub.hub.archive.expiry.plan()["snapshots"]]


def there(publisher: Any) -> list[int]:
    keys = [k for page in publisher.bucket.list("systems/a/snapshots/") for k in page.objects]
    found = {layout.parse_key(item.key).seq for item in keys}  # type: ignore[union-attr]
    return sorted(found)


async def test_the_policy(hub_with: Any, publisher: Any) -> None:
    async with hub_with() as hub:
        assert planned(hub) == []
        backup(hub)
        assert planned(hub) == []  # one backup is not enough
        backup(hub)
        assert planned(hub) == [1, 2, 3, 4]  # never the highest
        publisher.head("a", 3, b"an older head")
        assert planned(hub) == [1, 2, 4]  # never what a head points at
        assert there(publisher) == [1, 2, 3, 4, 5]
        hub.hub.archive.expiry.run(Progress())
        assert there(publisher) == [3, 5]


async def test_what_is_not_settled_stays(hub_with: Any, publisher: Any) -> None:
    async with hub_with() as hub:
        publisher.commit("a", 6, b"{poison")
        publisher.publish("a", 8, [Record("m8", text="young")])
        publisher.bucket.put("systems/a/bare.parquet", publisher.manifest("a", 1, [Record("x")])[1])
        await hub.once()
        backup(hub, 2)
        publisher.publish("a", 9, [Record("m9", text="in no backup")])
        manifest, _ = publisher.manifest("a", 2, [Record("m2", text="rewritten")])
        publisher.bucket.put(layout.manifest_key("a", 2), manifest.to_bytes())
        await hub.once()
        assert planned(hub) == [1, 3, 4, 5]
        hub.clock[0] += 10 * DAY
        assert planned(hub) == [1, 3, 4, 5, 8]
        hub.hub.archive.expiry.run(Progress())
        assert there(publisher) == [2, 6, 9]
        assert publisher.bucket.head("systems/a/bare.parquet")


async def test_it_is_off_by_default_and_without_a_head(hub_with: Any, publisher: Any) -> None:
    async with hub_with(expire_snapshots_after_s=0.0) as hub:
        backup(hub, 2)
        assert planned(hub) == []
        assert not hub.hub.archive.expiry.is_needed()
    async with hub_with() as hub:
        publisher.bucket.delete(layout.head_key("a"))
        assert planned(hub) == []


async def test_what_has_expired_is_not_missing(
    hub_with: Any, publisher: Any, open_test_hub: Any
) -> None:
    async with hub_with() as hub:
        backup(hub, 2)
        wanted = hub.logical_hash()
        hub.hub.archive.expiry.run(Progress())
        publisher.publish("a", 6, [Record("m6", text="new")])
        hub.clock[0] += 2 * DAY  # time for a full reconcile
        report = await hub.once()
        assert (report.merged, report.pending) == (1, 0)
        found = hub.system("a")
        assert (found["complete_to"], found["missing"]) == (6, [])
        assert hub.logical_hash() != wanted
    async with open_test_hub("hub") as again:
        await again.once()
        assert again.system("a")["missing"] == []


@pytest.mark.parametrize("lost", [False, True], ids=["failed", "answer lost"])
async def test_any_call_may_fail_once(
    hub_with: Any, publisher: Any, faulty: Any, lost: bool
) -> None:
    async with hub_with() as hub:
        backup(hub, 2)
        core, archive = hub.hub.core, hub.hub.archive

        def expiry(bucket: Any) -> Expiry:
            now: datetime = hub.clock[0]
            return Expiry(core.store, bucket, archive.backups, after=5 * DAY, now=lambda: now)

        fail_at, failures = 1, 0
        while True:
            bucket = faulty(archive.bucket, fail_at=fail_at, lost=lost)
            try:
                expiry(bucket).run(Progress())
            except RecallError:
                failures += 1
            # A manifest without data is merged; data without its manifest would be left for ever.
            await hub.once()
            assert hub.system("a")["missing"] == []
            if len(bucket.calls) < fail_at:
                break
            fail_at += 1
        assert failures > 5
        expiry(archive.bucket).run(Progress())
        assert there(publisher) == [5]
