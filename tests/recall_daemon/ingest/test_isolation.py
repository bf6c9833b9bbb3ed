"""One system's trouble, and the hub's own, is nobody else's, and nothing is lost over it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from recall_daemon.errors import StoreBroken
from recall_daemon.ingest.validate import Reader
from recall_daemon.store import ledger
from recall_daemon.store.ledger import Entry, Gap, Place
from recall_daemon.store.store import Store
from recall_daemon.store.writer import Writer
from recall_wire import layout
from recall_wire.buckets import open_async_bucket
from recall_wire.buckets.base import ListPage, ObjectInfo
from recall_wire.errors import BucketRefused, BucketUnreachable, RecallError
from recall_wire.records import Record

Fails = Callable[[str, str], RecallError | None]


class PickyBucket:
    """Asks `fails(call, key)` before each call, and waits at `gates` for keys that name one."""

    def __init__(self, url: str, fails: Fails) -> None:
        self.url = url
        self.fails = fails
        self.gates: dict[str, asyncio.Event] = {}
        self._bucket = open_async_bucket(url)

    async def _check(self, call: str, key: str) -> None:
        error = self.fails(call, key)
        if error is not None:
            raise error
        for part, gate in self.gates.items():
            if call == "download" and part in key:
                await gate.wait()

    async def list(
        self, prefix: str, *, start_after: str = "", delimiter: str = ""
    ) -> AsyncIterator[ListPage]:
        await self._check(f"list{delimiter}", prefix)
        async for page in self._bucket.list(prefix, start_after=start_after, delimiter=delimiter):
            yield page

    async def get(self, key: str, *, max_bytes: int) -> bytes:
        await self._check("get", key)
        return await self._bucket.get(key, max_bytes=max_bytes)

    async def get_range(self, key: str, start: int, length: int) -> bytes:
        await self._check("get", key)
        return await self._bucket.get_range(key, start, length)

    async def head(self, key: str) -> ObjectInfo:
        return await self._bucket.head(key)

    async def download(self, key: str, path: Path, *, max_bytes: int) -> str:
        await self._check("download", key)
        return await self._bucket.download(key, path, max_bytes=max_bytes)

    async def put(self, key: str, data: bytes, *, if_absent: bool = False) -> str:
        await self._check("put", key)
        return await self._bucket.put(key, data, if_absent=if_absent)

    async def delete(self, key: str) -> None:
        await self._bucket.delete(key)

    async def close(self) -> None:
        await self._bucket.close()


def nothing(_: str, __: str) -> None:
    return None


@pytest.mark.parametrize("error", [BucketRefused("403"), BucketUnreachable("reset")])
async def test_a_head_that_cannot_be_read_stops_no_other_system(
    publisher: Any, open_test_hub: Any, error: RecallError
) -> None:
    bucket = PickyBucket(f"file://{publisher.root}", nothing)
    async with open_test_hub(bucket=bucket) as hub:
        await hub.poll()
        publisher.publish("bad", 1, [Record("m", text="x")])
        publisher.publish("good", 1, [Record("m", text="y")])
        bucket.fails = lambda _, key: error if key == "heads/bad" else None
        report = await hub.poll()
        assert (report.merged, report.pending) == (1, 1)
        assert hub.texts("good") == {"m": "y"}

        bucket.fails = nothing
        await hub.poll()
        assert hub.texts("bad") == {"m": "x"}


async def test_a_slow_system_does_not_hold_up_the_next_poll(
    publisher: Any, open_test_hub: Any
) -> None:
    bucket = PickyBucket(f"file://{publisher.root}", nothing)
    gate = bucket.gates["systems/slow/"] = asyncio.Event()
    publisher.publish("slow", 1, [Record("m", text="slow")])
    async with open_test_hub(bucket=bucket) as hub:
        report = await hub.hub.poll(patience_s=0.01)
        assert (report.merged, report.pending) == (0, 1)

        publisher.publish("quick", 1, [Record("m", text="quick")])
        publisher.publish("slow", 2, [Record("n", text="later")])
        for _ in range(200):
            await hub.hub.poll(patience_s=0.01)
            if hub.texts("quick"):
                break
        assert hub.texts("quick") == {"m": "quick"}
        assert hub.texts("slow") == {}

        gate.set()
        report = await hub.poll()
        assert hub.texts("slow") == {"m": "slow", "n": "later"}
        assert (await hub.once()).pending == 0
        hub.verify()


async def test_what_a_reconcile_found_is_not_lost_when_the_next_step_fails(
    publisher: Any, open_test_hub: Any
) -> None:
    publisher.publish("a", 1, [Record("m", text="one")])
    publisher.bucket.delete(layout.head_key("a"))
    failing = BucketUnreachable("reset")
    bucket = PickyBucket(
        f"file://{publisher.root}", lambda call, _: failing if call == "list/snapshots/" else None
    )
    async with open_test_hub(bucket=bucket) as hub:
        with pytest.raises(BucketUnreachable):
            await hub.poll()
        bucket.fails = nothing
        await hub.poll()
        assert hub.texts("a") == {"m": "one"}


async def test_an_ack_that_is_refused_holds_up_no_other(publisher: Any, open_test_hub: Any) -> None:
    for system_id in ("a", "b", "c"):
        publisher.publish(system_id, 1, [Record("m", text="x")])
    bucket = PickyBucket(
        f"file://{publisher.root}",
        lambda call, key: BucketRefused("403") if (call, key) == ("put", "acks/a") else None,
    )
    async with open_test_hub(bucket=bucket) as hub:
        report = await hub.poll()
        assert (report.merged, report.pending, report.errors) == (3, 0, ["403"])
    assert publisher.ack("b").complete_to == publisher.ack("c").complete_to == 1


@pytest.mark.parametrize("error", [BlockingIOError(11, "try again"), MemoryError()])
async def test_the_hubs_own_trouble_quarantines_nothing(
    publisher: Any, open_test_hub: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    publisher.publish("a", 1, [Record("m", text="x")])

    async def strained(*_: object) -> None:
        raise error

    async with open_test_hub() as hub:
        with monkeypatch.context() as patch:
            patch.setattr(Reader, "read", strained)
            report = await hub.poll()
            assert (report.quarantined, report.pending) == (0, 1)
        await hub.poll()
        assert hub.texts("a") == {"m": "x"}


async def test_a_store_that_was_invalidated_ends_the_poll_for_good(
    publisher: Any, open_test_hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher.publish("a", 1, [Record("m", text="x")])

    def broken(_: Writer) -> None:
        raise duckdb.FatalException("the database has been invalidated")

    async with open_test_hub() as hub:
        with monkeypatch.context() as patch:
            patch.setattr(Writer, "_commit", broken)
            with pytest.raises(StoreBroken, match="must be opened again"):
                await hub.once()


async def test_a_push_that_was_cut_off_is_finished_from_the_bucket(
    publisher: Any, open_test_hub: Any
) -> None:
    publisher.publish("a", 1, [Record("m", text="x")])
    async with open_test_hub() as hub:
        cut_off = Entry(Place("a", 1), "push", "k", "merging", hub.clock[0])
        hub.hub.core.store.write(lambda c: ledger.record(c, cut_off))
        await hub.once()
        assert hub.texts("a") == {"m": "x"}
        assert hub.system("a")["lag_s"] == 0


async def test_a_bare_snapshot_is_retried_at_the_next_poll_and_void_once_overwritten(
    publisher: Any, open_test_hub: Any
) -> None:
    publisher.bucket.put("systems/a/x.parquet", b"PAR1 broken")
    async with open_test_hub() as hub:
        assert (await hub.poll()).quarantined == 1
        operations = hub.hub.core.operations
        operations.quarantine_retry(Place("a", 0, 1))
        assert (await hub.poll()).quarantined == 1

        good = publisher.manifest("a", 1, [Record("m", text="mended")])[1]
        publisher.bucket.put("systems/a/x.parquet", good)
        hub.clock[0] += timedelta(minutes=6)
        await hub.poll()
        assert hub.texts("a") == {"m": "mended"}
        assert operations.quarantine_list() == {"quarantined": []}

        publisher.bucket.put("systems/a/y.parquet", b"PAR1 broken")
        hub.clock[0] += timedelta(minutes=6)
        await hub.poll()
        publisher.bucket.delete("systems/a/y.parquet")
        place = operations.quarantine_list()["quarantined"][0]
        operations.quarantine_retry(Place("a", place["seq"], place["sub"]))
        assert (await hub.once()).pending == 0
        hub.clock[0] += timedelta(days=1)
        assert hub.system("a")["lag_s"] == 0


async def test_a_repaired_snapshot_survives_a_failure_on_its_way(
    publisher: Any, open_test_hub: Any
) -> None:
    bucket = PickyBucket(f"file://{publisher.root}", nothing)
    publisher.commit("a", 1, b"{nope")
    async with open_test_hub(bucket=bucket) as hub:
        await hub.poll()
        publisher.publish("a", 1, [Record("m", text="mended")])
        bucket.fails = lambda call, _: BucketUnreachable("x") if call == "download" else None
        assert (await hub.poll()).pending == 1
        publisher.bucket.delete(layout.head_key("a"))
        bucket.fails = nothing
        await hub.poll()
        assert hub.texts("a") == {"m": "mended"}


def test_a_head_below_the_highest_snapshot_hides_no_gap(store: Store) -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)

    def work(connection: ledger.Connection) -> None:
        ledger.see_system(connection, "a", now)
        for seq in (1, 2, 4):
            ledger.record(connection, Entry(Place("a", seq), "bucket", "k", "merged", now))
        ledger.update_system(connection, "a", head_seq=2, head_changed_at=now)

    store.write(work)
    with store.read() as connection:
        assert ledger.gaps(connection) == [Gap("a", 3, 3, now)]
