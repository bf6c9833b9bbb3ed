"""Every bucket call and every commit of a hub fails once; the memories are the same in the end."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pytest

from recall_daemon.errors import StoreFailed
from recall_daemon.store.writer import Writer
from recall_wire.buckets import open_async_bucket
from recall_wire.buckets.base import ListPage, ObjectInfo
from recall_wire.errors import BucketUnreachable
from recall_wire.records import Record

# Of the calls and commits; of those whose answer is lost, others than of those that are not made.
EVERY = 1 if "RECALLD_TEST_SOAK" in os.environ else 6
LOST = BucketUnreachable("the connection broke")


@dataclass
class FaultyBucket:
    """Fails its Nth call once: before anything happened, or after, when the answer is lost."""

    url: str
    fail_at: int
    after: bool = False
    calls: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._bucket = open_async_bucket(self.url)

    def _fails(self, name: str, *, after: bool) -> bool:
        if not after:
            self.calls.append(name)
        return len(self.calls) == self.fail_at and self.after == after

    async def _call(self, name: str, *arguments: Any, **options: Any) -> Any:
        if self._fails(name, after=False):
            raise LOST
        number = len(self.calls)
        answer = await getattr(self._bucket, name)(*arguments, **options)
        if self.after and number == self.fail_at:
            raise LOST
        return answer

    async def list(
        self, prefix: str, *, start_after: str = "", delimiter: str = ""
    ) -> AsyncIterator[ListPage]:
        if self._fails("list", after=False):
            raise LOST
        async for page in self._bucket.list(prefix, start_after=start_after, delimiter=delimiter):
            yield page

    async def get(self, key: str, *, max_bytes: int) -> bytes:
        return bytes(await self._call("get", key, max_bytes=max_bytes))

    async def get_range(self, key: str, start: int, length: int) -> bytes:
        return bytes(await self._call("get_range", key, start, length))

    async def head(self, key: str) -> ObjectInfo:
        found: ObjectInfo = await self._call("head", key)
        return found

    async def download(self, key: str, path: Path, *, max_bytes: int) -> str:
        # A lost answer of a download is a download that broke off: the file is there in part.
        if self._fails("download", after=False):
            raise LOST
        return await self._bucket.download(key, path, max_bytes=max_bytes)

    async def put(self, key: str, data: bytes, *, if_absent: bool = False) -> str:
        return str(await self._call("put", key, data, if_absent=if_absent))

    async def delete(self, key: str) -> None:
        await self._call("delete", key)

    async def close(self) -> None:
        await self._bucket.close()


def publish_story(publisher: Any) -> None:
    """Two systems with updates, a delete, a forget, a gap, a void, a poisoned and a bare one."""
    publisher.publish("a", 1, [Record("m", text="one"), Record("n", text="n"), Record("o")])
    publisher.publish("a", 3, [Record("m", text="three"), Record("n", op="delete")])
    publisher.publish("b", 1, [], kind="void", files=(), rows=0)
    publisher.commit("b", 2, b"{poison")
    publisher.publish("b", 3, [Record("p", text="p"), Record("q", op="forget")])
    publisher.bucket.put(
        "systems/c/bare.parquet", publisher.manifest("c", 1, [Record("x", text="bare")])[1]
    )


async def run(open_test_hub: Any, folder: str, bucket: Any = None) -> str:
    """Two runs of `once`, as a service manager would have after a failure; the logical hash."""
    async with open_test_hub(folder, bucket) as hub:
        for _ in range(2):
            report = await hub.once()
        assert (report.pending, report.errors) == (0, [])
        assert hub.system("a")["missing"] == [[2, 2]]
        assert hub.system("b")["quarantined"][0]["seq"] == 2
        return str(hub.verify())


@pytest.mark.timeout(600)
@pytest.mark.parametrize("after", [False, True], ids=["failed", "answer lost"])
async def test_any_bucket_call_may_fail_once(
    publisher: Any, open_test_hub: Any, after: bool
) -> None:
    publish_story(publisher)
    url = f"file://{publisher.root}"
    calm = FaultyBucket(url, fail_at=0)
    wanted = await run(open_test_hub, "calm", calm)
    numbers = [
        number
        for number, name in enumerate(calm.calls, start=1)
        if not after or name in ("put", "get")
    ]
    assert len(numbers) > 5

    for number in numbers[after % EVERY :: EVERY]:
        bucket = FaultyBucket(url, fail_at=number, after=after)
        assert await run(open_test_hub, f"hub{number}", bucket) == wanted, calm.calls[number - 1]
        assert len(bucket.calls) > number


@pytest.mark.timeout(600)
@pytest.mark.parametrize("after", [False, True], ids=["failed", "answer lost"])
async def test_any_commit_may_fail_once(
    publisher: Any, open_test_hub: Any, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    publish_story(publisher)
    commits = [0]
    fail_at = [0]
    commit = Writer._commit

    def counted(writer: Writer) -> None:
        commits[0] += 1
        failing = commits[0] == fail_at[0]
        if failing and not after:
            raise duckdb.TransactionException("no commit")
        commit(writer)
        if failing:
            raise duckdb.TransactionException("no answer")

    monkeypatch.setattr(Writer, "_commit", counted)
    async with open_test_hub("opened"):
        opening = commits[0]
    commits[0] = 0
    wanted = await run(open_test_hub, "calm")
    total = commits[0]
    assert total > opening + 6
    for number in range(1 + after % EVERY, total + 1, EVERY):
        commits[0], fail_at[0] = 0, number
        if number <= opening:  # then it is not there, and is started again
            with pytest.raises(StoreFailed):
                await run(open_test_hub, f"hub{number}")
        assert await run(open_test_hub, f"hub{number}") == wanted
