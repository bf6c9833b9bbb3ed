"""One file into the bucket: a single PUT, or a streamed multipart upload that can be resumed."""

from __future__ import annotations

import hashlib
import math
import random
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

from recall_wire.buckets.base import MAX_PARTS, PART_BYTES, Bucket, Part, PendingUpload
from recall_wire.errors import (
    BucketRefused,
    BucketThrottled,
    ObjectNotFound,
    RecallError,
    SnapshotInvalid,
    TransientError,
)

TRIES = 4
BACKOFF_S = 0.5
BACKOFF_MAX_S = 20.0
_MIB = 1 << 20

Progress = Callable[[int], None]
"""Called, on the caller's thread, with the number of bytes that have newly reached the bucket."""

Sleep = Callable[[float], None]
_Result = TypeVar("_Result")


def upload_file(
    bucket: Bucket,
    key: str,
    path: Path,
    *,
    sha256: str,
    bytes_: int,
    part_bytes: int = PART_BYTES,
    parts_in_flight: int = 4,
    progress: Progress | None = None,
    sleep: Sleep = time.sleep,
) -> str:
    """Put the file at `path` into the bucket and return the object's ETag. Idempotent.

    `key` must name its content (it carries the sha256), so that whatever parts or object lie there
    already are this file's. Up to `part_bytes`: one PUT. Above: equal parts, a missing answer to
    one of them asked for `TRIES` times with backoff and full jitter. In memory at any time:
    `parts_in_flight * part_bytes`, the part being read included.

    The bytes are hashed as they are read and compared before the object appears. Raises
    `SnapshotInvalid` where they are not what `sha256` and `bytes_` say. After a `TransientError`,
    or a killed process, the parts stay and the next call goes on from them; after anything else,
    Ctrl-C included, the upload is aborted.
    """
    if path.stat().st_size != bytes_:
        raise _damaged(path)
    transfer = _Transfer(bucket, key, path, sha256, bytes_, progress or _ignore, sleep)
    if bytes_ <= part_bytes:
        return _put_whole(transfer)
    return _upload_parts(transfer, _Cut.of(bytes_, part_bytes), parts_in_flight)


def abort_stale(bucket: Bucket, prefix: str, older_than: datetime) -> int:
    """Abort the uploads under `prefix` that began before an aware time, by the endpoint's clock.

    Returns how many. Idempotent.
    """
    stale = [up for up in bucket.list_multipart(prefix) if up.started_at < older_than]
    for upload in stale:
        bucket.abort_multipart(upload.key, upload.upload_id)
    return len(stale)


@dataclass(frozen=True, slots=True)
class _Transfer:
    bucket: Bucket
    key: str
    path: Path
    sha256: str
    bytes: int
    progress: Progress
    sleep: Sleep


@dataclass(frozen=True, slots=True)
class _Cut:
    """A file cut into equal parts; only the last may be shorter (R2 insists)."""

    bytes: int
    part_bytes: int

    @classmethod
    def of(cls, bytes_: int, part_bytes: int) -> _Cut:
        """Past 10,000 parts the part size rises, in whole MiB."""
        if bytes_ > part_bytes * MAX_PARTS:
            part_bytes = math.ceil(bytes_ / MAX_PARTS / _MIB) * _MIB
        return cls(bytes_, part_bytes)

    @property
    def parts(self) -> int:
        return math.ceil(self.bytes / self.part_bytes)

    def size(self, number: int) -> int:
        return min(self.part_bytes, self.bytes - (number - 1) * self.part_bytes)

    def fits(self, part: Part) -> bool:
        return 1 <= part.number <= self.parts and part.bytes == self.size(part.number)


def _put_whole(transfer: _Transfer) -> str:
    data = transfer.path.read_bytes()
    if hashlib.sha256(data).hexdigest() != transfer.sha256:
        raise _damaged(transfer.path)
    put = partial(transfer.bucket.put, transfer.key, data)
    etag = _patiently(put, transfer.sleep, threading.Event())
    transfer.progress(len(data))
    return etag


def _upload_parts(transfer: _Transfer, cut: _Cut, parts_in_flight: int) -> str:
    bucket, key = transfer.bucket, transfer.key
    pending = _pending(bucket, key)
    etag = _stored(transfer)
    if etag is not None:  # completed before; its answer was lost
        _abort_all(bucket, pending)
        transfer.progress(transfer.bytes)
        return etag
    upload_id, have = _resume(bucket, pending, cut) or (bucket.create_multipart(key), {})
    try:
        parts = _Sender(transfer, cut, upload_id, parts_in_flight).send(have)
        return _complete(transfer, upload_id, parts)
    except TransientError:
        raise  # the parts wait for the next attempt
    except BaseException as error:
        _abort(bucket, key, upload_id, error)
        raise


def _pending(bucket: Bucket, key: str) -> list[PendingUpload]:
    try:
        return [upload for upload in bucket.list_multipart(key) if upload.key == key]
    except BucketRefused:
        return []  # credentials may upload and yet not list uploads: then nothing is resumed


def _stored(transfer: _Transfer) -> str | None:
    try:
        info = transfer.bucket.head(transfer.key)
    except (ObjectNotFound, BucketRefused):  # S3 says 403 for an absent key to who may not list
        return None
    return info.etag if info.bytes == transfer.bytes else None


def _resume(
    bucket: Bucket, pending: list[PendingUpload], cut: _Cut
) -> tuple[str, Mapping[int, Part]] | None:
    """The upload that has most, where all its parts fit; the others are aborted."""
    fitting: list[tuple[PendingUpload, Mapping[int, Part]]] = []
    for upload in pending:
        try:
            parts = bucket.list_parts(upload.key, upload.upload_id)
        except ObjectNotFound:
            continue
        if all(cut.fits(part) for part in parts):
            fitting.append((upload, {part.number: part for part in parts}))
    best = max(fitting, key=lambda candidate: len(candidate[1]), default=None)
    _abort_all(bucket, [up for up in pending if best is None or up is not best[0]])
    return None if best is None else (best[0].upload_id, best[1])


def _complete(transfer: _Transfer, upload_id: str, parts: tuple[Part, ...]) -> str:
    try:
        return transfer.bucket.complete_multipart(transfer.key, upload_id, parts)
    except ObjectNotFound:
        # The client library asks again by itself when an answer is lost: the first had worked.
        etag = _stored(transfer)
        if etag is None:
            raise
        return etag


def _abort_all(bucket: Bucket, uploads: list[PendingUpload]) -> None:
    for upload in uploads:
        bucket.abort_multipart(upload.key, upload.upload_id)


def _abort(bucket: Bucket, key: str, upload_id: str, cause: BaseException) -> None:
    """Never hides the cause. What stays behind here, `abort_stale` removes."""
    try:
        bucket.abort_multipart(key, upload_id)
    except RecallError as error:
        cause.add_note(f"the upload could not be aborted either: {error}")


class _Sender:
    """Reads, hashes and sends a file's parts, a bounded number of them at a time."""

    def __init__(self, transfer: _Transfer, cut: _Cut, upload_id: str, in_flight: int) -> None:
        self._transfer = transfer
        self._cut = cut
        self._upload_id = upload_id
        self._in_flight = in_flight
        self._sha256 = hashlib.sha256()
        self._stop = threading.Event()
        self._done: list[Part] = []
        self._running: set[Future[Part]] = set()
        # Used again and again: the allocator keeps what is freed on another thread.
        self._free = [bytearray(cut.part_bytes) for _ in range(in_flight)]

    def send(self, have: Mapping[int, Part]) -> tuple[Part, ...]:
        """Leaving, on whatever path, it has no part under way: an abort then finds them all."""
        with (
            self._transfer.path.open("rb", buffering=0) as file,
            ThreadPoolExecutor(self._in_flight, "recall-part") as pool,
        ):
            try:
                self._send_all(file, pool, have)
            except BaseException:
                self._stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        if self._sha256.hexdigest() != self._transfer.sha256:
            raise _damaged(self._transfer.path)
        return tuple(sorted(self._done, key=lambda part: part.number))

    def _send_all(self, file: BinaryIO, pool: ThreadPoolExecutor, have: Mapping[int, Part]) -> None:
        for number in range(1, self._cut.parts + 1):
            self._wait_below(self._in_flight)
            buffer = self._read(file, number)
            if number in have:
                self._free.append(buffer)
                self._finish(have[number])
            else:
                self._running.add(pool.submit(self._send_part, number, buffer))
        self._wait_below(1)

    def _read(self, file: BinaryIO, number: int) -> bytearray:
        """One is free: fewer parts than buffers are under way. Only the last part is shorter."""
        buffer, size = self._free.pop(), self._cut.size(number)
        del buffer[size:]
        if not _fill(buffer, file):
            raise _damaged(self._transfer.path)
        self._sha256.update(buffer)
        return buffer

    def _wait_below(self, count: int) -> None:
        while len(self._running) >= count:
            ended, self._running = wait(self._running, return_when=FIRST_COMPLETED)
            for part in ended:
                self._finish(part.result())

    def _finish(self, part: Part) -> None:
        self._done.append(part)
        self._transfer.progress(part.bytes)

    def _send_part(self, number: int, buffer: bytearray) -> Part:
        bucket, key = self._transfer.bucket, self._transfer.key
        send = partial(bucket.upload_part, key, self._upload_id, number, buffer)
        try:
            return _patiently(send, self._transfer.sleep, self._stop)
        finally:
            self._free.append(buffer)


def _patiently(call: Callable[[], _Result], sleep: Sleep, stop: threading.Event) -> _Result:
    """Try `TRIES` times while the errors are transient and nobody says stop."""
    for attempt in range(1, TRIES):
        try:
            return call()
        except TransientError as error:
            if stop.is_set():
                raise
            sleep(_delay_s(attempt, error))
    return call()


def _delay_s(attempt: int, error: TransientError) -> float:
    """Full jitter; never sooner than the endpoint asked for, within reason."""
    jitter = random.uniform(0, min(BACKOFF_MAX_S, BACKOFF_S * 2**attempt))
    asked = error.retry_after_s if isinstance(error, BucketThrottled) else None
    return max(jitter, min(asked or 0.0, BACKOFF_MAX_S))


def _fill(buffer: bytearray, file: BinaryIO) -> bool:
    """Whether the file had enough: a raw read may return less than asked for."""
    with memoryview(buffer) as whole:
        rest = whole
        while rest and (count := file.readinto(rest)):  # type: ignore[attr-defined]
            rest = rest[count:]
        return not rest


def _damaged(path: Path) -> SnapshotInvalid:
    return SnapshotInvalid(
        f"the file {path} is not what it was when it was written",
        hint="its disk may be failing; the rows are sent again under a new number",
    )


def _ignore(_: int) -> None:
    return
