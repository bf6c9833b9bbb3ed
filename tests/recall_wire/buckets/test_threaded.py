"""Threads behind an event loop: cancelled or hung, they hurt nobody else."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from fake_bucket import FakeBucket

from recall_wire.buckets.threaded import ThreadedBucket
from recall_wire.errors import ObjectNotFound


class SlowBucket(FakeBucket):
    def __init__(self) -> None:
        super().__init__()
        self.started = threading.Event()
        self.go_on = threading.Event()

    def download(self, key: str, path: Path, *, max_bytes: int) -> str:
        self.started.set()
        self.go_on.wait(30)
        return super().download(key, path, max_bytes=max_bytes)


async def test_a_cancelled_download_leaves_no_file(tmp_path: Path) -> None:
    slow = SlowBucket()
    slow.put("a", b"x")
    bucket = ThreadedBucket(slow)
    work = asyncio.create_task(bucket.download("a", tmp_path / "a", max_bytes=1))
    await asyncio.to_thread(slow.started.wait, 30)
    work.cancel()
    await asyncio.sleep(0)
    slow.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert "head" in slow.calls  # its thread did go on
    assert not (tmp_path / "a").exists()
    await bucket.close()


async def test_a_download_that_is_cancelled_before_it_began_never_begins(tmp_path: Path) -> None:
    slow = SlowBucket()
    bucket = ThreadedBucket(slow, threads=1)
    first = asyncio.create_task(bucket.download("a", tmp_path / "a", max_bytes=1))
    second = asyncio.create_task(bucket.download("a", tmp_path / "b", max_bytes=1))
    await asyncio.to_thread(slow.started.wait, 30)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    slow.go_on.set()
    with pytest.raises(ObjectNotFound):
        await first
    assert slow.calls == ["head"]
    await bucket.close()


async def test_a_hanging_drive_does_not_take_the_loops_own_threads(tmp_path: Path) -> None:
    slow = SlowBucket()
    bucket = ThreadedBucket(slow)
    work = [
        asyncio.create_task(bucket.download("a", tmp_path / str(n), max_bytes=1)) for n in range(40)
    ]
    await asyncio.to_thread(slow.started.wait, 30)
    assert await asyncio.wait_for(asyncio.to_thread(lambda: "free"), 30) == "free"
    slow.go_on.set()
    results = await asyncio.gather(*work, return_exceptions=True)
    assert {type(result) for result in results} == {ObjectNotFound}
    await bucket.close()
