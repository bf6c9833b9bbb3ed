"""What recalld needs of an object store: two protocols, one blocking and one async."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

PART_BYTES = 5 * 1024 * 1024
MAX_PARTS = 10_000
LIST_PAGE_KEYS = 1_000


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object as a listing shows it. `etag` is opaque, without quotes, and changes with bytes."""

    key: str
    bytes: int
    etag: str
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class ListPage:
    """One LIST answer: at most 1,000 objects and prefixes together, in key order."""

    objects: tuple[ObjectInfo, ...]
    prefixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a multipart upload, as the server has it."""

    number: int
    etag: str
    bytes: int


@dataclass(frozen=True, slots=True)
class PendingUpload:
    """A multipart upload that was neither completed nor aborted."""

    key: str
    upload_id: str
    started_at: datetime


class Bucket(Protocol):
    """A bucket and prefix, blocking. Keys are relative to the prefix.

    Safe to call from several threads. Every method raises `BucketUnreachable`, `BucketThrottled`
    (transient) or `BucketRefused` (an operator must act) besides what it names, and `UnsafeKey`
    for a key with an empty, `.` or `..` segment, a backslash or a control character.
    """

    @property
    def url(self) -> str:
        """For people: no credentials in it."""

    def list(
        self, prefix: str, *, start_after: str = "", delimiter: str = ""
    ) -> Iterator[ListPage]:
        """The keys under `prefix` after `start_after`, one request a page, at least one page.

        With a delimiter (any string, not only "/"), keys that contain it after `prefix` are
        rolled up into `prefixes`, as S3 does.
        """

    def get(self, key: str, *, max_bytes: int) -> bytes:
        """A small object. Raises `ObjectNotFound`; `LimitExceeded` above `max_bytes`."""

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Exactly `length` bytes (one at least) of an object, from byte `start`, counted from 0.

        Raises `ObjectNotFound`; `ObjectTooShort` where it ends before.
        """

    def head(self, key: str) -> ObjectInfo:
        """Raises `ObjectNotFound`."""

    def download(self, key: str, path: Path, *, max_bytes: int) -> str:
        """Stream an object into a new file and return its sha256 as hex.

        A file of that name is replaced. Raises `ObjectNotFound`; `LimitExceeded` as soon as more
        than `max_bytes` came; `TransientError` where the disk is full. On an error the file is
        removed.
        """

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> str:
        """Write an object, durably, and return its ETag.

        With `if_absent`: raises `PreconditionFailed` where the key exists, `WriteConflict` where
        somebody else writes it at this moment.
        """

    def delete(self, key: str) -> None:
        """Idempotent: an absent key is no error."""

    def create_multipart(self, key: str) -> str:
        """Start a multipart upload and return its id."""

    def upload_part(self, key: str, upload_id: str, number: int, data: bytes | bytearray) -> Part:
        """`number` from 1; every part but the last of one size >= 5 MiB. Idempotent.

        The caller may fill `data` anew as soon as this returns.
        """

    def complete_multipart(self, key: str, upload_id: str, parts: tuple[Part, ...]) -> str:
        """Make the object of its parts and return its ETag. Raises `ObjectNotFound`."""

    def abort_multipart(self, key: str, upload_id: str) -> None:
        """Idempotent: an unknown upload is no error."""

    def list_parts(self, key: str, upload_id: str) -> tuple[Part, ...]:
        """The parts the server has, by number. Raises `ObjectNotFound`."""

    def list_multipart(self, prefix: str) -> tuple[PendingUpload, ...]:
        """The pending multipart uploads under `prefix`."""

    def close(self) -> None:
        """Release connections. Idempotent."""


class AsyncBucket(Protocol):
    """The same, for the hub's event loop: what the hub needs, with the same errors."""

    @property
    def url(self) -> str: ...

    def list(
        self, prefix: str, *, start_after: str = "", delimiter: str = ""
    ) -> AsyncIterator[ListPage]: ...

    async def get(self, key: str, *, max_bytes: int) -> bytes: ...

    async def get_range(self, key: str, start: int, length: int) -> bytes: ...

    async def head(self, key: str) -> ObjectInfo: ...

    async def download(self, key: str, path: Path, *, max_bytes: int) -> str: ...

    async def put(self, key: str, data: bytes, *, if_absent: bool = False) -> str: ...

    async def delete(self, key: str) -> None: ...

    async def close(self) -> None: ...
