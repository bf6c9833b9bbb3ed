"""A blocking bucket for an event loop, served by threads of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from recall_wire.buckets.base import Bucket, ListPage, ObjectInfo

_Result = TypeVar("_Result")


class ThreadedBucket:
    """See `base.AsyncBucket`. A drive that hangs holds these threads and none of the loop's own."""

    def __init__(self, bucket: Bucket, *, threads: int = 8) -> None:
        self._bucket = bucket
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="recall-bucket")
        self.url = bucket.url

    def __repr__(self) -> str:
        return f"ThreadedBucket({self._bucket!r})"

    async def list(
        self, prefix: str, *, start_after: str = "", delimiter: str = ""
    ) -> AsyncIterator[ListPage]:
        pages = self._bucket.list(prefix, start_after=start_after, delimiter=delimiter)
        while (page := await self._run(partial(next, pages, None))) is not None:
            yield page

    async def get(self, key: str, *, max_bytes: int) -> bytes:
        return await self._run(partial(self._bucket.get, key, max_bytes=max_bytes))

    async def get_range(self, key: str, start: int, length: int) -> bytes:
        return await self._run(partial(self._bucket.get_range, key, start, length))

    async def head(self, key: str) -> ObjectInfo:
        return await self._run(partial(self._bucket.head, key))

    async def download(self, key: str, path: Path, *, max_bytes: int) -> str:
        """Cancelled, it waits for its thread and removes the file that came after all."""
        in_thread = self._pool.submit(self._bucket.download, key, path, max_bytes=max_bytes)
        work = asyncio.wrap_future(in_thread)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            # Asked of the thread's own future: the loop's would let itself be cancelled any time.
            if not in_thread.cancel():
                await asyncio.wait([work])
            with suppress(OSError):
                path.unlink(missing_ok=True)
            raise

    async def put(self, key: str, data: bytes, *, if_absent: bool = False) -> str:
        return await self._run(partial(self._bucket.put, key, data, if_absent=if_absent))

    async def delete(self, key: str) -> None:
        await self._run(partial(self._bucket.delete, key))

    async def close(self) -> None:
        await asyncio.to_thread(self._bucket.close)
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _run(self, call: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._pool, call)
