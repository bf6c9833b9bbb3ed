"""A number that was handed out twice: what the bucket holds beside what was pushed is told."""

from __future__ import annotations

from typing import Any

import pytest

from recall_daemon.errors import NotInQuarantine
from recall_daemon.store import ledger
from recall_daemon.store.ledger import Entry, Place
from recall_wire import layout
from recall_wire.buckets import open_async_bucket
from recall_wire.errors import BucketUnreachable
from recall_wire.records import Record

PUSHED = [Record("m0", text="pushed")]
LOST = [Record("m9", text="from the bucket")]


class WatchedBucket:
    """Keeps the calls; a GET of a manifest fails `failures` times."""

    def __init__(self, url: str) -> None:
        self._inner = open_async_bucket(url)
        self.gets: list[str] = []
        self.lists = 0
        self.failures = 0

    def list(self, *args: Any, **kwargs: Any) -> Any:
        self.lists += 1
        return self._inner.list(*args, **kwargs)

    async def get(self, key: str, **kwargs: Any) -> bytes:
        self.gets.append(key)
        if key.endswith("manifest.json") and self.failures:
            self.failures -= 1
            raise BucketUnreachable("the line is cut")
        return await self._inner.get(key, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


@pytest.fixture
def watched(publisher: Any) -> WatchedBucket:
    return WatchedBucket(f"file://{publisher.root}")


def entry(hub: Any, seq: int) -> Entry:
    with hub.hub.core.store.read() as connection:
        found = ledger.find(connection, Place("a", seq))
    assert found is not None
    return found


async def push_all(hub: Any, pusher: Any, *seqs: int) -> list[Any]:
    pushes = [pusher(hub, "a", seq, [Record(f"m{seq}", text="pushed")]) for seq in seqs]
    for push in pushes:
        assert (await push.all()).status_code == 200
    return pushes


async def test_the_same_snapshot_costs_one_get_once(
    publisher: Any, open_test_hub: Any, pusher: Any, watched: WatchedBucket
) -> None:
    async with open_test_hub(bucket=watched) as hub:
        await hub.once()
        for push in await push_all(hub, pusher, 1, 2):
            publisher.commit("a", push.manifest.seq, push.manifest.to_bytes())
        assert (await hub.once()).changed_rows == 0
        manifests = [layout.manifest_key("a", seq) for seq in (1, 2)]
        assert watched.gets == [layout.head_key("a"), *manifests]
        assert [entry(hub, seq).etag is not None for seq in (1, 2)] == [True, True]
        assert (hub.system("a")["warning"], hub.system("a")["quarantined"]) == (None, [])
        watched.gets.clear()
        watched.lists = 0
        await hub.poll()
        assert (watched.gets, watched.lists) == ([], 1)


@pytest.mark.parametrize("seqs", [(1,), (1, 2), (1, 2, 3)], ids=["level", "below", "far below"])
async def test_another_snapshot_of_a_pushed_number_is_told(
    publisher: Any, open_test_hub: Any, pusher: Any, seqs: tuple[int, ...]
) -> None:
    """The instance lost its state and went on from the bucket's number, below the hub's."""
    async with open_test_hub() as hub:
        await hub.once()
        await push_all(hub, pusher, *seqs)
        publisher.publish("a", 1, LOST, instance_id="new life", kind="full")
        await hub.once()
        assert sorted(hub.texts("a")) == [f"m{seq}" for seq in seqs]
        assert "snapshot 1 in the bucket differs" in hub.system("a")["warning"]
        (told,) = publisher.ack("a").quarantined
        assert told.seq == 1
        assert "upload again" in told.reason
        assert publisher.ack("a").complete_to == seqs[-1]
        # What the instance does then heals it, and no other warning takes the place of this one.
        publisher.publish("a", seqs[-1] + 1, LOST, instance_id="new life")
        await hub.once()
        assert hub.texts("a")["m9"] == "from the bucket"
        assert "differs" in hub.system("a")["warning"]
        assert publisher.ack("a").quarantined == (told,)
        hub.logical_hash()


async def test_one_below_a_head_that_has_passed_the_pushed_ones_is_told_too(
    publisher: Any, open_test_hub: Any, pusher: Any
) -> None:
    async with open_test_hub() as hub:
        await hub.once()
        await push_all(hub, pusher, 1, 2)
        for seq in (1, 2, 3):
            publisher.publish("a", seq, [Record(f"b{seq}", text="x")], instance_id="new life")
        await hub.once()
        assert sorted(hub.texts("a")) == ["b3", "m1", "m2"]
        assert [item.seq for item in publisher.ack("a").quarantined] == [1, 2]


async def test_pushed_numbers_that_a_head_has_passed_are_looked_for_once(
    publisher: Any, open_test_hub: Any, pusher: Any
) -> None:
    async with open_test_hub() as hub:
        await hub.once()
        await push_all(hub, pusher, 1, 2)
        with hub.hub.core.store.read() as connection:
            assert ledger.list_after(connection, "a") == 0
        publisher.publish("a", 3, LOST)
        await hub.once()
        with hub.hub.core.store.read() as connection:
            assert ledger.list_after(connection, "a") == 3


@pytest.mark.parametrize(("instance_id", "is_told"), [("i", False), ("another", True)])
async def test_a_void_of_the_same_instance_is_no_clash(
    publisher: Any, open_test_hub: Any, pusher: Any, instance_id: str, is_told: bool
) -> None:
    async with open_test_hub() as hub:
        await hub.once()
        await push_all(hub, pusher, 1)
        publisher.publish("a", 1, [], kind="void", files=(), instance_id=instance_id)
        await hub.once()
        assert bool(hub.system("a")["warning"]) is is_told
        assert bool(publisher.ack("a").quarantined) is is_told
        assert entry(hub, 1).etag is not None
        assert hub.texts("a") == {"m1": "pushed"}


@pytest.mark.parametrize("data", [b"", b"{", b"\0" * 2_000_000], ids=["empty", "cut", "huge"])
async def test_bytes_that_are_no_manifest_differ(
    publisher: Any, open_test_hub: Any, pusher: Any, data: bytes
) -> None:
    async with open_test_hub() as hub:
        await hub.once()
        await push_all(hub, pusher, 1)
        publisher.commit("a", 1, data)
        await hub.once()
        assert [item.seq for item in publisher.ack("a").quarantined] == [1]
        assert hub.texts("a") == {"m1": "pushed"}


async def test_a_manifest_that_cannot_be_had_now_is_compared_later(
    publisher: Any, open_test_hub: Any, pusher: Any, watched: WatchedBucket
) -> None:
    async with open_test_hub(bucket=watched) as hub:
        await hub.once()
        await push_all(hub, pusher, 1)
        publisher.publish("a", 1, LOST, instance_id="new life")
        watched.failures = 2
        assert (await hub.poll()).pending
        assert (await hub.poll()).pending
        assert hub.system("a")["quarantined"] == []
        await hub.once()
        assert [item["seq"] for item in hub.system("a")["quarantined"]] == [1]


async def test_the_line_is_dropped_by_hand_and_never_retried(
    publisher: Any, open_test_hub: Any, pusher: Any
) -> None:
    async with open_test_hub() as hub:
        await hub.once()
        await push_all(hub, pusher, 1)
        publisher.publish("a", 1, LOST, instance_id="new life")
        await hub.once()
        operations = hub.hub.core.operations
        with pytest.raises(NotInQuarantine, match="its number is taken"):
            operations.quarantine_retry(Place("a", 1))
        assert operations.quarantine_drop(Place("a", 1))["state"] == "merged"
        assert (hub.system("a")["warning"], hub.system("a")["quarantined"]) == (None, [])
        await hub.once()
        assert publisher.ack("a").quarantined == ()


async def test_the_void_of_a_snapshot_that_was_merged_is_settled(
    open_test_hub: Any, pusher: Any
) -> None:
    """The answer to the commit was lost, and the instance took the snapshot out."""
    async with open_test_hub() as hub:
        await push_all(hub, pusher, 1)
        void = pusher(hub, "a", 1, [], kind="void", files=())
        assert (await void.open()).json() == {"state": "merged", "have": []}
        assert hub.texts("a") == {"m1": "pushed"}
        other = pusher(hub, "a", 1, [], kind="void", files=(), instance_id="another")
        assert (await other.open()).json()["code"] == "snapshot_clash"


async def test_a_void_whose_snapshot_the_bucket_brings_before_its_commit_is_settled(
    publisher: Any, open_test_hub: Any, pusher: Any
) -> None:
    async with open_test_hub() as hub:
        void = pusher(hub, "a", 1, [], kind="void", files=())
        assert (await void.open()).json()["state"] == "open"
        publisher.publish("a", 1, PUSHED)
        await hub.once()
        assert (await void.commit()).json()["status"] == "merged"
        assert hub.texts("a") == {"m0": "pushed"}


async def test_what_is_told_of_one_system_is_its_own(open_test_hub: Any, pusher: Any) -> None:
    async with open_test_hub() as hub:
        await push_all(hub, pusher, 2, 3)
        assert (await pusher(hub, "b", 1, PUSHED).all()).status_code == 200
        told = [hub.hub.pushes.standing(name).ack for name in ("a", "b")]
        assert [(ack.complete_to, ack.missing) for ack in told] == [(0, ((1, 1),)), (1, ())]
