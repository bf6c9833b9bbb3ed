"""What polling costs: an idle poll is one LIST per 1,000 systems, however much the bucket holds."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from recall_wire.buckets import open_async_bucket
from recall_wire.buckets.base import LIST_PAGE_KEYS, ListPage, ObjectInfo
from recall_wire.records import Record

SOAK = "RECALLD_TEST_SOAK" in os.environ
SYSTEMS = 250 if SOAK else 20
SNAPSHOTS = 10_000 if SOAK else 40


class CountingBucket:
    """Counts requests by kind; a LIST page is one."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: Counter[str] = Counter()
        self._bucket = open_async_bucket(url)

    async def list(
        self, prefix: str, *, start_after: str = "", delimiter: str = ""
    ) -> AsyncIterator[ListPage]:
        pages = 0
        async for page in self._bucket.list(prefix, start_after=start_after, delimiter=delimiter):
            self.requests["list"] += 1
            pages += 1
            yield page
        self.requests["list"] += not pages

    async def get(self, key: str, *, max_bytes: int) -> bytes:
        self.requests["get"] += 1
        return await self._bucket.get(key, max_bytes=max_bytes)

    async def get_range(self, key: str, start: int, length: int) -> bytes:
        self.requests["get"] += 1
        return await self._bucket.get_range(key, start, length)

    async def head(self, key: str) -> ObjectInfo:
        self.requests["head"] += 1
        return await self._bucket.head(key)

    async def download(self, key: str, path: Path, *, max_bytes: int) -> str:
        self.requests["get"] += 1
        return await self._bucket.download(key, path, max_bytes=max_bytes)

    async def put(self, key: str, data: bytes, *, if_absent: bool = False) -> str:
        self.requests["put"] += 1
        return await self._bucket.put(key, data, if_absent=if_absent)

    async def delete(self, key: str) -> None:
        self.requests["delete"] += 1
        await self._bucket.delete(key)

    async def close(self) -> None:
        await self._bucket.close()


@pytest.mark.timeout(3600 if SOAK else 300)
async def test_an_idle_poll_is_one_list(publisher: Any, open_test_hub: Any) -> None:
    each = SNAPSHOTS // SYSTEMS
    for system in range(SYSTEMS):
        for seq in range(1, each + 1):
            publisher.publish(f"system-{system}", seq, [Record(f"m{seq}", text=f"text {seq}")])
    bucket = CountingBucket(f"file://{publisher.root}")
    async with open_test_hub(bucket=bucket) as hub:
        report = await hub.poll()
        assert (report.merged, report.pending) == (SNAPSHOTS, 0)

        bucket.requests.clear()
        await hub.poll()
        assert bucket.requests == {"list": math.ceil(SYSTEMS / LIST_PAGE_KEYS)}

        publisher.publish("system-7", each + 1, [Record("new", text="new")])
        bucket.requests.clear()
        await hub.poll()
        # heads/ and the one system; its head, manifest and data; its ack.
        assert bucket.requests == {"list": 2, "get": 3, "put": 1}
