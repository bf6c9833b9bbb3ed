"""Buckets that count their requests by kind and outcome; all else is the bucket's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

from recall_daemon.metrics import BUCKET_REQUESTS
from recall_wire.buckets.base import AsyncBucket, Bucket, ListPage, ObjectInfo, Part, PendingUpload
from recall_wire.errors import (
    BucketRefused,
    ObjectNotFound,
    PreconditionFailed,
    RecallError,
    TransientError,
    WriteConflict,
)

# An object that is there already, or is being written, is an answer like any other.
_ANSWERS = (PreconditionFailed, WriteConflict)


def count(kind: str, error: BaseException | None = None) -> None:
    """One request of a kind, and how it ended."""
    BUCKET_REQUESTS.labels(kind, _outcome(error)).inc()


def _outcome(error: BaseException | None) -> str:
    if isinstance(error, ObjectNotFound):
        return "absent"
    if isinstance(error, BucketRefused):
        return "refused"
    if isinstance(error, TransientError) and not isinstance(error, _ANSWERS):
        return "unreachable"
    return "ok"


@contextmanager
def _counted(kind: str) -> Iterator[None]:
    try:
        yield
    except RecallError as error:
        count(kind, error)
        raise
    count(kind)


class CountedAsyncBucket:
    """See `AsyncBucket`."""

    def __init__(self, bucket: AsyncBucket) -> None:
        self._bucket = bucket
        self.url = bucket.url

    async def list(
        self, prefix: str, *, start_after: str = "", delimiter: str = ""
    ) -> AsyncIterator[ListPage]:
        try:
            async for page in self._bucket.list(
                prefix, start_after=start_after, delimiter=delimiter
            ):
                count("list")
                yield page
        except RecallError as error:
            count("list", error)
            raise

    async def get(self, key: str, *, max_bytes: int) -> bytes:
        with _counted("get"):
            return await self._bucket.get(key, max_bytes=max_bytes)

    async def get_range(self, key: str, start: int, length: int) -> bytes:
        with _counted("get"):
            return await self._bucket.get_range(key, start, length)

    async def head(self, key: str) -> ObjectInfo:
        with _counted("head"):
            return await self._bucket.head(key)

    async def download(self, key: str, path: Path, *, max_bytes: int) -> str:
        with _counted("get"):
            return await self._bucket.download(key, path, max_bytes=max_bytes)

    async def put(self, key: str, data: bytes, *, if_absent: bool = False) -> str:
        with _counted("put"):
            return await self._bucket.put(key, data, if_absent=if_absent)

    async def delete(self, key: str) -> None:
        with _counted("delete"):
            await self._bucket.delete(key)

    async def close(self) -> None:
        await self._bucket.close()


class CountedBucket:
    """See `Bucket`."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self.url = bucket.url

    def list(
        self, prefix: str, *, start_after: str = "", delimiter: str = ""
    ) -> Iterator[ListPage]:
        try:
            for page in self._bucket.list(prefix, start_after=start_after, delimiter=delimiter):
                count("list")
                yield page
        except RecallError as error:
            count("list", error)
            raise

    def get(self, key: str, *, max_bytes: int) -> bytes:
        with _counted("get"):
            return self._bucket.get(key, max_bytes=max_bytes)

    def get_range(self, key: str, start: int, length: int) -> bytes:
        with _counted("get"):
            return self._bucket.get_range(key, start, length)

    def head(self, key: str) -> ObjectInfo:
        with _counted("head"):
            return self._bucket.head(key)

    def download(self, key: str, path: Path, *, max_bytes: int) -> str:
        with _counted("get"):
            return self._bucket.download(key, path, max_bytes=max_bytes)

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> str:
        with _counted("put"):
            return self._bucket.put(key, data, if_absent=if_absent)

    def delete(self, key: str) -> None:
        with _counted("delete"):
            self._bucket.delete(key)

    def create_multipart(self, key: str) -> str:
        with _counted("multipart"):
            return self._bucket.create_multipart(key)

    def upload_part(self, key: str, upload_id: str, number: int, data: bytes | bytearray) -> Part:
        with _counted("put"):
            return self._bucket.upload_part(key, upload_id, number, data)

    def complete_multipart(self, key: str, upload_id: str, parts: tuple[Part, ...]) -> str:
        with _counted("multipart"):
            return self._bucket.complete_multipart(key, upload_id, parts)

    def abort_multipart(self, key: str, upload_id: str) -> None:
        with _counted("multipart"):
            self._bucket.abort_multipart(key, upload_id)

    def list_parts(self, key: str, upload_id: str) -> tuple[Part, ...]:
        with _counted("list"):
            return self._bucket.list_parts(key, upload_id)

    def list_multipart(self, prefix: str) -> tuple[PendingUpload, ...]:
        with _counted("list"):
            return self._bucket.list_multipart(prefix)

    def close(self) -> None:
        self._bucket.close()
