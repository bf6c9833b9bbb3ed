"""The bucket as it was at a time: what came later is not seen, and nothing is written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from recall_wire.buckets.base import AsyncBucket, ListPage, ObjectInfo
from recall_wire.errors import ObjectNotFound


class BucketAtMoment:
    """An `AsyncBucket` that hides every object written after `moment`, an aware time by the
    endpoint's clock.

    What was overwritten or removed since cannot be seen either. Writing does nothing: instances
    are told of the present only.
    """

    def __init__(self, bucket: AsyncBucket, moment: datetime) -> None:
        self._bucket = bucket
        self._moment = moment

    @property
    def url(self) -> str:
        return self._bucket.url

    async def list(
        self, prefix: str, *, start_after: str = "", delimiter: str = ""
    ) -> AsyncIterator[ListPage]:
        async for page in self._bucket.list(prefix, start_after=start_after, delimiter=delimiter):
            seen = tuple(item for item in page.objects if item.modified_at <= self._moment)
            yield replace(page, objects=seen)

    async def get(self, key: str, *, max_bytes: int) -> bytes:
        await self.head(key)
        return await self._bucket.get(key, max_bytes=max_bytes)

    async def get_range(self, key: str, start: int, length: int) -> bytes:
        await self.head(key)
        return await self._bucket.get_range(key, start, length)

    async def head(self, key: str) -> ObjectInfo:
        info = await self._bucket.head(key)
        if info.modified_at > self._moment:
            raise ObjectNotFound(f"{key} was written after {self._moment.isoformat()}")
        return info

    async def download(self, key: str, path: Path, *, max_bytes: int) -> str:
        await self.head(key)
        return await self._bucket.download(key, path, max_bytes=max_bytes)

    async def put(self, key: str, data: bytes, *, if_absent: bool = False) -> str:
        return ""

    async def delete(self, key: str) -> None:
        return None

    async def close(self) -> None:
        await self._bucket.close()
