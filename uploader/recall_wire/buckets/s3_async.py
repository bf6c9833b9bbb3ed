"""S3 for the hub: aioboto3, one client held open until `close`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aioboto3

from recall_wire.buckets import receiving, s3_requests
from recall_wire.buckets.base import ListPage, ObjectInfo
from recall_wire.buckets.location import S3Location
from recall_wire.buckets.options import S3Options
from recall_wire.buckets.receiving import CHUNK_BYTES, NewFile
from recall_wire.buckets.s3_errors import translated
from recall_wire.buckets.s3_requests import Parameters, S3Requests, next_page
from recall_wire.buckets.s3_session import client_arguments, session_arguments
from recall_wire.errors import ObjectNotFound

_SLOWEST_BYTES_PER_S = 64 * 1024


class AsyncS3Bucket:
    """See `base.AsyncBucket`. The client is made at the first call, in the loop that makes it."""

    def __init__(self, location: S3Location, options: S3Options) -> None:
        self._options = options
        self._requests = S3Requests(location)
        self._lock = asyncio.Lock()
        self._stack = AsyncExitStack()
        self._made: Any = None
        self.url = location.url

    def __repr__(self) -> str:
        return f"AsyncS3Bucket({self.url!r})"

    async def list(
        self, prefix: str, *, start_after: str = "", delimiter: str = ""
    ) -> AsyncIterator[ListPage]:
        ask = self._requests.list(prefix, start_after, delimiter)
        while ask:
            answer = await self._call(f"list {prefix}", "list_objects_v2", ask)
            with translated(f"list {prefix}", self.url):
                page = self._requests.page(answer)
            yield page
            ask = next_page(answer, ask, {"NextContinuationToken": "ContinuationToken"})

    async def get(self, key: str, *, max_bytes: int) -> bytes:
        async with await self._opened(self._requests.at(key), key) as body:
            receiving.check_limit(body.bytes, max_bytes, key)
            return await body.collect(max_bytes, key)

    async def get_range(self, key: str, start: int, length: int) -> bytes:
        ask = self._requests.range(key, start, length)
        async with await self._opened(ask, key) as body:
            s3_requests.check_range(body.range, start, self.url)
            data = await body.collect(length, key)
        return receiving.check_length(data, length, key)

    async def head(self, key: str) -> ObjectInfo:
        answer = await self._call(f"look up {key}", "head_object", self._requests.at(key))
        return s3_requests.object_info(key, answer)

    async def download(self, key: str, path: Path, *, max_bytes: int) -> str:
        """Hashing and writing happen in threads: a large object does not stall the loop."""
        async with await self._opened(self._requests.at(key), key) as body:
            with NewFile(path, max_bytes=max_bytes, what=key) as file:
                file.expect(body.bytes)
                async for chunk in body.chunks():
                    await _in_thread(file, chunk)
                return file.sha256()

    async def put(self, key: str, data: bytes, *, if_absent: bool = False) -> str:
        ask = self._requests.put(key, if_absent=if_absent) | {"Body": data}
        longer_s = len(data) / _SLOWEST_BYTES_PER_S
        answer = await self._call(f"write {key}", "put_object", ask, longer_s=longer_s)
        return s3_requests.etag(answer)

    async def delete(self, key: str) -> None:
        try:
            await self._call(f"delete {key}", "delete_object", self._requests.at(key))
        except ObjectNotFound:
            return  # S3 itself answers 204; others say that it was not there

    async def close(self) -> None:
        async with self._lock:
            self._made = None
            await self._stack.aclose()

    async def _call(
        self, what: str, operation: str, parameters: Parameters, *, longer_s: float = 0.0
    ) -> Any:
        """aiohttp's read timeout starts only after the request is sent, and a server that neither
        reads it nor answers "100 Continue" would hold it for ever: hence a deadline of our own.
        """
        limit_s = self._options.longest_call_s + longer_s
        with translated(what, self.url):
            async with asyncio.timeout(limit_s):
                return await getattr(await self._client(), operation)(**parameters)

    async def _client(self) -> Any:
        async with self._lock:
            if self._made is None:
                session = aioboto3.Session(**session_arguments(self._options))
                arguments = client_arguments(self._options, chain_region=session.region_name)
                self._made = await self._stack.enter_async_context(session.client(**arguments))
            return self._made

    async def _opened(self, ask: Parameters, key: str) -> _Body:
        answer = await self._call(f"read {key}", "get_object", ask)
        return _Body(answer, f"read {key}", self.url)


class _Body:
    """An object being read. Closing it early drops the connection instead of draining it."""

    def __init__(self, answer: Any, what: str, where: str) -> None:
        self.bytes: int = answer["ContentLength"]
        self.range: str = answer.get("ContentRange", "")
        self._stream = answer["Body"]
        self._what = what
        self._where = where

    async def __aenter__(self) -> _Body:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stream.close()

    async def collect(self, max_bytes: int, key: str) -> bytes:
        data = bytearray()
        async for chunk in self.chunks():
            data += chunk
            receiving.check_limit(len(data), max_bytes, key)
        return bytes(data)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Small network reads gathered into chunks that are worth a thread's while."""
        gathered = bytearray()
        while True:
            with translated(self._what, self._where):
                piece: bytes = await self._stream.read(CHUNK_BYTES)
            gathered += piece
            if len(gathered) >= CHUNK_BYTES or (gathered and not piece):
                yield bytes(gathered)
                gathered.clear()
            if not piece:
                return


async def _in_thread(file: NewFile, chunk: bytes) -> None:
    """Cancelled, it still waits for the write: the file is closed and removed right after."""
    write = asyncio.ensure_future(asyncio.to_thread(file.write, chunk))
    try:
        await asyncio.shield(write)
    except asyncio.CancelledError:
        await asyncio.wait([write])
        raise
