"""A bucket in memory that counts, and fails where it is told to."""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from recall_wire.buckets.base import ListPage, ObjectInfo, Part, PendingUpload
from recall_wire.errors import (
    BucketUnreachable,
    ObjectNotFound,
    ObjectTooShort,
    PreconditionFailed,
)

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


class FakeBucket:
    """`fail_at` counts calls from 1; with `answer_lost` the failing call has worked all the same.

    `before_part` runs inside `upload_part`, on its thread.
    """

    url = "fake://bucket"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, tuple[str, dict[int, bytes]]] = {}
        self.calls: list[str] = []
        self.fail_at = 0
        self.error: BaseException = BucketUnreachable("the connection broke")
        self.answer_lost = False
        self.before_part: Callable[[int], None] = lambda number: None
        self.most_in_flight = 0
        self._in_flight = 0
        self._ids = itertools.count(1)
        self._lock = threading.Lock()

    def _call(self, name: str, act: Callable[[], object]) -> object:
        with self._lock:
            self.calls.append(name)
            fails = len(self.calls) == self.fail_at
            if fails and not self.answer_lost:
                raise self.error
            result = act()
            if fails:
                raise self.error
            return result

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> str:
        def act() -> str:
            if if_absent and key in self.objects:
                raise PreconditionFailed(f"{key} exists already")
            self.objects[key] = data
            return _etag(data)

        return str(self._call("put", act))

    def get(self, key: str, *, max_bytes: int) -> bytes:
        self.head(key)
        return self.objects[key]

    def get_range(self, key: str, start: int, length: int) -> bytes:
        self.head(key)
        data = self.objects[key][start : start + length]
        if len(data) != length:
            raise ObjectTooShort(f"{key} is too short")
        return data

    def head(self, key: str) -> ObjectInfo:
        def act() -> ObjectInfo:
            if key not in self.objects:
                raise ObjectNotFound(f"there is no {key}")
            data = self.objects[key]
            return ObjectInfo(key, len(data), _etag(data), LONG_AGO)

        found = self._call("head", act)
        assert isinstance(found, ObjectInfo)
        return found

    def delete(self, key: str) -> None:
        self._call("delete", lambda: self.objects.pop(key, None))

    def list(
        self, prefix: str, *, start_after: str = "", delimiter: str = ""
    ) -> Iterator[ListPage]:
        """Honours neither `start_after` nor `delimiter`: a poor endpoint."""
        self._call("list", lambda: None)
        keys = sorted(key for key in self.objects if key.startswith(prefix))
        yield ListPage(
            tuple(
                ObjectInfo(k, len(self.objects[k]), _etag(self.objects[k]), LONG_AGO) for k in keys
            )
        )

    def download(self, key: str, path: Path, *, max_bytes: int) -> str:
        path.write_bytes(self.get(key, max_bytes=max_bytes))
        return hashlib.sha256(self.objects[key]).hexdigest()

    def create_multipart(self, key: str) -> str:
        def act() -> str:
            upload_id = f"upload-{next(self._ids)}"
            self.uploads[upload_id] = (key, {})
            return upload_id

        return str(self._call("create", act))

    def upload_part(self, key: str, upload_id: str, number: int, data: bytes | bytearray) -> Part:
        with self._lock:
            self._in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self._in_flight)
        try:
            self.before_part(number)
            self._call(
                f"part {number}", lambda: self._parts(key, upload_id).update({number: bytes(data)})
            )
            return Part(number, _etag(bytes(data)), len(data))
        finally:
            with self._lock:
                self._in_flight -= 1

    def complete_multipart(self, key: str, upload_id: str, parts: tuple[Part, ...]) -> str:
        def act() -> str:
            stored = self._parts(key, upload_id)
            for part in parts:
                if _etag(stored.get(part.number, b"?")) != part.etag:
                    raise ObjectNotFound(f"part {part.number} is missing")
            self.objects[key] = b"".join(stored[part.number] for part in parts)
            del self.uploads[upload_id]
            return _etag(self.objects[key])

        return str(self._call("complete", act))

    def abort_multipart(self, key: str, upload_id: str) -> None:
        self._call("abort", lambda: self.uploads.pop(upload_id, None))

    def list_parts(self, key: str, upload_id: str) -> tuple[Part, ...]:
        found = self._call("list parts", lambda: self._parts(key, upload_id))
        assert isinstance(found, dict)
        return tuple(Part(n, _etag(data), len(data)) for n, data in sorted(found.items()))

    def list_multipart(self, prefix: str) -> tuple[PendingUpload, ...]:
        self._call("list uploads", lambda: None)
        return tuple(
            PendingUpload(key, upload_id, LONG_AGO)
            for upload_id, (key, _) in self.uploads.items()
            if key.startswith(prefix)
        )

    def close(self) -> None:
        return

    def _parts(self, key: str, upload_id: str) -> dict[int, bytes]:
        if self.uploads.get(upload_id, ("", {}))[0] != key:
            raise ObjectNotFound(f"there is no upload {upload_id}")
        return self.uploads[upload_id][1]


def _etag(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()
