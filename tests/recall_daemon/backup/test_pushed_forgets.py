"""What an instance's push forgets is in the bucket's log, or will be, without its snapshot."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from recall_daemon.backup import restore
from recall_daemon.backup.log_objects import read_log
from recall_daemon.backup.owner import hub_id
from recall_daemon.backup.promptly import PromptShipping
from recall_daemon.errors import LogNotShipped
from recall_daemon.store import forget, journal
from recall_wire.records import Record

TOLD = [Record("m1", text="one"), Record("m2", text="two"), Record("m3", text="three")]
FORGETS = [Record("m1", op="forget"), Record("m2", op="delete"), Record("m9", op="forget")]


def logged(hub: Any) -> list[Any]:
    bucket = hub.hub.archive.bucket
    return [e.body for e in read_log(bucket, hub_id(hub.hub.core.store), after=0).entries]


def journaled(hub: Any) -> list[Any]:
    with hub.hub.core.store.read() as connection:
        return [entry.body for entry in journal.unshipped(connection, 100, 1 << 20)]


async def test_it_is_in_the_log_before_the_push_is_answered(
    open_test_hub: Any, publisher: Any, pusher: Any, tmp_path: Path
) -> None:
    """Hub and outbox are lost, so the snapshot that forgot never comes again."""
    publisher.publish("a", 1, TOLD)
    async with open_test_hub() as hub:
        await hub.poll()
        answer = (await pusher(hub, "a", 2, FORGETS).all()).json()
        assert (answer["status"], answer["deletes"]) == ("merged", 3)
        assert logged(hub) == [{"identities": [["a", "m1"], ["a", "m9"]]}]
        prepared = restore.prepare(
            publisher.bucket,
            tmp_path / "restored",
            hub_id=hub_id(hub.hub.core.store),
            to=None,
            memory_bytes=1 << 28,
        )
        assert prepared.log_entries == 1
    async with open_test_hub("restored") as restored:
        await restored.poll()
        assert restored.texts("a") == {"m2": "two", "m3": "three"}


async def test_what_was_forgotten_before_is_not_noted_again(
    open_test_hub: Any, publisher: Any, pusher: Any
) -> None:
    async with open_test_hub() as hub:
        publisher.publish("a", 1, FORGETS)
        await hub.poll()
        assert logged(hub) == []  # the bucket has the snapshot itself
        await pusher(hub, "a", 2, FORGETS).all()
        assert logged(hub) == []


async def test_a_bucket_that_is_away_does_not_hold_a_push_up(
    open_test_hub: Any, pusher: Any, publisher: Any, faulty: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = faulty(publisher.bucket)
    monkeypatch.setattr("recall_daemon.app.open_archive_bucket", lambda settings: bucket)
    monkeypatch.setattr(forget, "ENTRY_ROWS", 1)
    expected = [{"identities": [["a", "m1"]]}, {"identities": [["a", "m9"]]}]
    async with open_test_hub() as hub:
        bucket.fail_at = len(bucket.calls) + 1
        push = pusher(hub, "a", 1, FORGETS)
        assert (await push.all()).json()["status"] == "merged"
        assert (logged(hub), journaled(hub)) == ([], expected)
        assert (await push.commit()).json()["status"] == "merged"  # again, and the bucket is back
        assert (logged(hub), journaled(hub)) == (expected, [])


class SlowShipper:
    """Counts its calls; each ends when it is let go, or fails."""

    def __init__(self) -> None:
        self.calls = 0
        self.go = threading.Event()

    def ship_now(self) -> None:
        self.calls += 1
        self.go.wait()
        raise LogNotShipped("the bucket is away")


async def test_all_that_wait_for_a_bucket_share_one_shipping() -> None:
    shipper = SlowShipper()
    ship = PromptShipping(shipper, within_s=0.05)  # type: ignore[arg-type]
    try:
        await asyncio.gather(ship(), ship(), ship())
        await ship()
        assert shipper.calls == 1
    finally:
        shipper.go.set()
    await ship()  # what was there before is over first: one that began later has all
    assert shipper.calls == 2
