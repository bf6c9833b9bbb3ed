"""The parts of one file: read, hashed and sent, a bounded number of them at a time."""

from __future__ import annotations

import hashlib
import math
import random
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

from recall_wire.buckets.base import MAX_PARTS, Bucket, Part
from recall_wire.errors import BucketThrottled, SnapshotInvalid, TransientError

TRIES = 4
BACKOFF_S = 0.5
BACKOFF_MAX_S = 20.0
_MIB = 1 << 20

Progress = Callable[[int], None]
Sleep = Callable[[float], None]
Check = Callable[[], None]
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Transfer:
    """One file on its way. See `multipart.upload_file` for `progress`, `sleep` and `check`."""

    bucket: Bucket
    key: str
    path: Path
    sha256: str
    bytes: int
    progress: Progress
    sleep: Sleep
    check: Check
    tries: int = TRIES

    def damaged(self) -> SnapshotInvalid:
        return SnapshotInvalid(
            f"the file {self.path} is not what it was when it was written",
            hint="its disk may be failing; the rows are sent again under a new number",
        )

    def patiently(self, call: Callable[[], _Result], stop: threading.Event) -> _Result:
        """Try `tries` times while the errors are transient and nobody says stop."""
        for attempt in range(1, self.tries):
            self.check()
            try:
                return call()
            except TransientError as error:
                if not stop.is_set():
                    self.wait(attempt, error)
                # Also after the wait: a part sent then would outlive the upload's abort.
                if stop.is_set():
                    raise
        self.check()
        return call()

    def wait(self, attempt: int, error: TransientError) -> None:
        """After the try `attempt`, counted from 1."""
        self.sleep(_delay_s(attempt, error))


@dataclass(frozen=True, slots=True)
class Cut:
    """A file cut into equal parts; only the last may be shorter (R2 insists)."""

    bytes: int
    part_bytes: int

    @classmethod
    def of(cls, bytes_: int, part_bytes: int) -> Cut:
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


class PartSender:
    """Reads, hashes and sends a file's parts, a bounded number of them at a time."""

    def __init__(self, transfer: Transfer, cut: Cut, upload_id: str, in_flight: int) -> None:
        self._transfer = transfer
        self._cut = cut
        self.upload_id = upload_id
        self._in_flight = in_flight
        self._sha256 = hashlib.sha256()
        self._stop = threading.Event()
        self._done: list[Part] = []
        self._running: set[Future[Part]] = set()
        # Used again and again: the allocator keeps what is freed on another thread.
        self._free = [bytearray(cut.part_bytes) for _ in range(in_flight)]

    @property
    def sent_bytes(self) -> int:
        """What `progress` was told of."""
        return sum(part.bytes for part in self._done)

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
            raise self._transfer.damaged()
        return tuple(sorted(self._done, key=lambda part: part.number))

    def _send_all(self, file: BinaryIO, pool: ThreadPoolExecutor, have: Mapping[int, Part]) -> None:
        for number in range(1, self._cut.parts + 1):
            self._wait_below(self._in_flight)
            self._transfer.check()
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
            raise self._transfer.damaged()
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
        send = partial(bucket.upload_part, key, self.upload_id, number, buffer)
        try:
            return self._transfer.patiently(send, self._stop)
        finally:
            self._free.append(buffer)


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
