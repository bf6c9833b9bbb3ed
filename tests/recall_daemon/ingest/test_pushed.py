"""A pushed snapshot is the one in the bucket; staged ones survive a restart and stay bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from recall_daemon.errors import DiskFull
from recall_daemon.ingest import merge
from recall_daemon.ingest.pushed import IN_FLIGHT_MAX, OPEN_MAX
from recall_daemon.ingest.staging import Batch
from recall_daemon.store import events
from recall_daemon.store.ledger import Place
from recall_daemon.store.writer import Writer
from recall_wire import layout
from recall_wire.formats import ReadOptions, open_source
from recall_wire.manifest import DataFile, sha256_hex
from recall_wire.records import Record

ROWS = [Record(f"m{n}", text=f"memory {n}") for n in range(5)]


def places(hub: Any) -> list[tuple[Any, ...]]:
    """Every row with its place in its system's order."""
    with hub.hub.core.store.read() as connection:
        found = connection.execute(
            "SELECT memory_id, state, seq, sub, row_no, content_hash FROM memories ORDER BY ALL"
        )
        return list(found.fetchall())


def staged(hub: Any) -> list[str]:
    root: Path = hub.hub.core.settings.data_dir / "pushed"
    return sorted(path.name for path in root.glob("*/*"))


def changes(hub: Any) -> int:
    with hub.hub.core.store.read() as connection:
        rows = connection.execute("SELECT value FROM counters WHERE name = 'change_no'").fetchall()
        return int(rows[0][0])


def publish(publisher: Any, push: Any, records: list[Record], data: bytes | None = None) -> None:
    """The bucket's copy of a pushed snapshot: the same manifest."""
    manifest = push.manifest
    data = data or publisher.manifest(manifest.system_id, manifest.seq, records)[1]
    key = layout.data_key(manifest.system_id, manifest.seq, manifest.files[0].name)
    publisher.bucket.put(key, data)
    publisher.commit(manifest.system_id, manifest.seq, manifest.to_bytes())


async def test_by_either_way_each_row_has_the_same_place(
    publisher: Any, open_test_hub: Any, pusher: Any
) -> None:
    records = [Record(f"m{n % 2000}", text=f"text {n}") for n in range(2500)]
    records += [Record("m7", op="delete"), Record("m8", op="forget")]
    async with open_test_hub("pushed") as hub:
        push = pusher(hub, "a", 1, records, 1000)
        assert (await push.all()).json()["rows"] == 2500
        by_push, hash_by_push = places(hub), hub.logical_hash()
    publish(publisher, push, records)
    async with open_test_hub("pulled") as hub:
        await hub.once()
        assert places(hub) == by_push
        assert hub.logical_hash() == hash_by_push


async def test_a_raw_database_has_the_same_rows_read_by_its_instance(
    publisher: Any, open_test_hub: Any, pusher: Any, tmp_path: Path
) -> None:
    """More of them than a snapshot of records may hold: a database comes whole."""
    path = tmp_path / "source.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "CREATE TABLE conversations (id VARCHAR, content VARCHAR, timestamp TIMESTAMP); "
            "INSERT INTO conversations SELECT 'm' || n, 'text ' || n, now()::TIMESTAMP "
            "FROM range(50_500) t(n)"
        )
    data = path.read_bytes()
    sha256 = sha256_hex(data)
    name = f"source-{sha256[:16]}.duckdb"
    file = DataFile(name=name, format="duckdb", bytes=len(data), sha256=sha256)
    with open_source(path, ReadOptions()) as source:
        records = list(source.records())
    async with open_test_hub("pushed") as hub:
        push = pusher(hub, "a", 1, records, 1000, files=(file,), rows=0, kind="full")
        assert (await push.all()).json()["rows"] == 50_500
        by_push = places(hub)
    publish(publisher, push, records, data)
    async with open_test_hub("pulled") as hub:
        await hub.poll()
        assert places(hub) == by_push


async def test_what_was_pushed_is_not_merged_again_from_the_bucket(
    publisher: Any, open_test_hub: Any, pusher: Any
) -> None:
    async with open_test_hub() as hub:
        push = pusher(hub, "a", 1, ROWS)
        await push.all()
        before = changes(hub)
        publish(publisher, push, ROWS)
        assert (await hub.poll()).changed_rows == 0
        assert changes(hub) == before


async def test_what_came_from_the_bucket_is_not_merged_again_by_push(
    publisher: Any, open_test_hub: Any, pusher: Any
) -> None:
    async with open_test_hub() as hub:
        push = pusher(hub, "a", 1, ROWS)
        await push.open()
        await push.stage(1)
        publish(publisher, push, ROWS)
        await hub.poll()
        before = changes(hub)
        done = await push.commit()
        assert (done.json()["status"], done.json()["rows"], changes(hub)) == ("merged", 5, before)
        assert staged(hub) == []


@pytest.mark.parametrize("damaged", [False, True])
async def test_both_ways_at_once_make_one_snapshot(
    publisher: Any, open_test_hub: Any, pusher: Any, damaged: bool
) -> None:
    """Both have read it and wait for their system's turn; the bucket's copy may be a bad one."""
    async with open_test_hub(readers=2) as hub:
        push = pusher(hub, "a", 1, ROWS)
        publish(publisher, push, ROWS, b"\0" * push.manifest.files[0].bytes if damaged else None)
        await push.open()
        for number in (1, 2, 3):
            await push.stage(number)
        turn = hub.hub.pipeline._merging["a"]
        async with turn:
            pushing = asyncio.create_task(push.commit())
            await waiting_for(turn, 1)
            polling = asyncio.create_task(hub.poll())
            await waiting_for(turn, 2)
        assert (await pushing).json()["changed"] == 5
        report = await polling
        assert (report.changed_rows, report.quarantined) == (0, 0)
        assert changes(hub) == 5
        assert hub.system("a")["quarantined"] == []
        assert hub.system("a")["complete_to"] == 1


async def waiting_for(lock: asyncio.Lock, count: int) -> None:
    async with asyncio.timeout(20):
        while len(lock._waiters or ()) < count:  # type: ignore[attr-defined]
            await asyncio.sleep(0)


async def test_another_snapshot_that_the_bucket_brought_meanwhile_is_a_clash(
    publisher: Any, open_test_hub: Any, pusher: Any
) -> None:
    async with open_test_hub(readers=2) as hub:
        push = pusher(hub, "a", 1, ROWS)
        publisher.publish("a", 1, ROWS[:1], machine="other")
        await push.open()
        for number in (1, 2, 3):
            await push.stage(number)
        turn = hub.hub.pipeline._merging["a"]
        async with turn:
            polling = asyncio.create_task(hub.poll())
            await waiting_for(turn, 1)
            pushing = asyncio.create_task(push.commit())
            await waiting_for(turn, 2)
        await polling
        assert (await pushing).json()["code"] == "snapshot_clash"
        with hub.hub.core.store.read() as connection:
            assert "conflict" in {event.kind for event in events.after(connection, 0, 100)}
        assert hub.texts("a") == {"m0": "memory 0"}
        assert hub.system("a")["quarantined"] == []


async def test_a_merge_that_was_cut_between_two_chunks_goes_on(
    publisher: Any, open_test_hub: Any, pusher: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merge, "CHUNK_ROWS", 2)
    commit, calls = Writer._commit, [0]

    def failing(writer: Writer) -> None:
        calls[0] += 1
        if calls[0] == 2:
            raise duckdb.TransactionException("no commit")
        commit(writer)

    async with open_test_hub() as hub:
        push = pusher(hub, "a", 1, ROWS)
        await push.open()
        for number in (1, 2, 3):
            await push.stage(number)
        monkeypatch.setattr(Writer, "_commit", failing)
        cut = await push.commit()
        assert (cut.status_code, cut.json()["code"]) == (503, "store_failed")
        assert cut.json()["transient"] is True
        assert len(hub.texts("a")) == 2
        assert len((await push.open()).json()["have"]) == 3
        assert (await push.commit()).json()["changed"] == 3
        hub.logical_hash()


async def test_staged_batches_survive_a_restart(open_test_hub: Any, pusher: Any) -> None:
    async with open_test_hub() as hub:
        push = pusher(hub, "A.b", 12, ROWS)
        await push.open()
        await push.stage(1)
        await push.stage(2)
        root = hub.hub.core.settings.data_dir / "pushed"
        (root / ".parts" / "cut-off").write_bytes(b"half")
        half = root / "b~00000000" / "000000000001"
        half.mkdir(parents=True)
        (half / "manifest.json").write_bytes(b"{")
    async with open_test_hub() as hub:
        push = pusher(hub, "A.b", 12, ROWS)
        assert list((root / ".parts").iterdir()) == []
        assert not half.exists()
        assert [batch["number"] for batch in (await push.open()).json()["have"]] == [1, 2]
        await push.stage(3)
        assert (await push.commit()).json()["changed"] == 5
        assert staged(hub) == []


async def test_what_nobody_touches_for_a_day_goes(open_test_hub: Any, pusher: Any) -> None:
    async with open_test_hub() as hub:
        old, new = pusher(hub, "a", 1, ROWS), pusher(hub, "b", 1, ROWS)
        await old.open()
        await new.open()
        hub.clock[0] += timedelta(hours=20)
        await new.stage(1)
    async with open_test_hub() as hub:
        hub.clock[0] += timedelta(hours=24, seconds=1)
        await hub.hub.pushes.expire()
        assert (await pusher(hub, "b", 1, ROWS).open()).json()["have"] != []
        assert (await pusher(hub, "a", 1, ROWS).commit()).json()["code"] == "push_not_open"


async def test_a_number_is_held_for_its_instance_only_while_that_pushes(
    open_test_hub: Any, pusher: Any
) -> None:
    async with open_test_hub() as hub:
        await pusher(hub, "a", 1, ROWS).open()
        other = pusher(hub, "a", 1, ROWS, instance_id="other")
        hub.clock[0] += timedelta(minutes=10)
        assert (await other.open()).json()["code"] == "push_held"
        hub.clock[0] += timedelta(seconds=1)
        assert (await other.all()).json()["status"] == "merged"


async def test_a_system_has_only_so_many_pushes_open(open_test_hub: Any, pusher: Any) -> None:
    async with open_test_hub() as hub:
        for seq in range(1, OPEN_MAX + 3):
            await pusher(hub, "a", seq, ROWS).open()
            hub.clock[0] += timedelta(seconds=1)
        await pusher(hub, "b", 1, ROWS).open()
        assert staged(hub) == [f"{seq:012d}" for seq in (1, 3, 4, 5, 6)]


async def test_a_systems_batches_take_only_so_many_bytes(open_test_hub: Any, pusher: Any) -> None:
    async with open_test_hub() as hub:
        size = len(pusher(hub, "a", 1, ROWS).batches[0][0])
    async with open_test_hub("small", max_snapshot_bytes=size * 2 + size // 2) as hub:
        first, second = pusher(hub, "a", 1, ROWS), pusher(hub, "a", 2, ROWS)
        await first.open()
        for number in (1, 2, 2):
            assert (await first.stage(number)).status_code == 200
        full = await first.stage(3)
        assert (full.status_code, full.json()["code"]) == (422, "limit_exceeded")
        await second.open()
        assert (await second.stage(1)).status_code == 200
        assert (await first.stage(1)).json()["code"] == "push_not_open"


async def test_a_full_disk_takes_nothing_and_loses_nothing(open_test_hub: Any, pusher: Any) -> None:
    async with open_test_hub() as hub:
        push = pusher(hub, "a", 1, ROWS)
        await push.open()
        for number in (1, 2, 3):
            await push.stage(number)
    async with open_test_hub(min_free_bytes=1 << 62) as hub:
        push = pusher(hub, "a", 1, ROWS)
        for answer in (await push.open(), await push.stage(1), await push.commit()):
            assert (answer.status_code, answer.json()["code"]) == (507, "disk_full")
    async with open_test_hub() as hub:
        assert (await pusher(hub, "a", 1, ROWS).commit()).json()["changed"] == 5


async def test_a_disk_that_fills_while_a_batch_comes_in_keeps_nothing_of_it(
    open_test_hub: Any, pusher: Any
) -> None:
    async with open_test_hub() as hub:
        push = pusher(hub, "a", 1, ROWS)
        await push.open()
        full = DiskFull("0 bytes are free")

        async def body() -> AsyncIterator[bytes]:
            yield b"x" * (2 << 20)
            raise full

        with pytest.raises(DiskFull):
            await stage(hub, push, body())
        assert (await push.open()).json()["have"] == []
        assert list((hub.hub.core.settings.data_dir / "pushed" / ".parts").iterdir()) == []


def stage(hub: Any, push: Any, body: AsyncIterator[bytes]) -> Any:
    batch = Batch(1, 1, "0" * 64)
    return hub.hub.pushes.stage(Place("a", 1), batch, push.sha256, body)


async def test_slow_bodies_hold_up_nobody_else(open_test_hub: Any, pusher: Any) -> None:
    async with open_test_hub() as hub:
        push, other = pusher(hub, "a", 1, ROWS), pusher(hub, "b", 1, ROWS)
        await push.open()

        async def endless() -> AsyncIterator[bytes]:
            yield b"x"
            await asyncio.Event().wait()

        slow = [asyncio.create_task(stage(hub, push, endless())) for _ in range(IN_FLIGHT_MAX)]
        await asyncio.sleep(0)
        busy = await push.stage(1)
        assert (busy.status_code, busy.json()["code"]) == (503, "push_busy")
        assert (await push.open()).json()["state"] == "open"
        assert (await other.all()).json()["status"] == "merged"
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
        assert (await push.all()).json()["status"] == "merged"
