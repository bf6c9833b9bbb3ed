"""Bytes from a bucket, counted against a limit: into memory, or hashed into a new file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from recall_wire.errors import LimitExceeded, ObjectTooShort, TransientError

CHUNK_BYTES = 1 << 20


class NewFile:
    """A file being filled. Left by an exception, it is removed; a file of that name is replaced.

    Raises `LimitExceeded` as soon as more than `max_bytes` came, `TransientError` where the disk
    does not take them.
    """

    def __init__(self, path: Path, *, max_bytes: int, what: str) -> None:
        self._path = path
        self._left = max_bytes
        self._limit = max_bytes
        self._what = what
        self._sha256 = hashlib.sha256()

    def __enter__(self) -> Self:
        try:
            self._path.unlink(missing_ok=True)
            self._file = self._path.open("xb", buffering=0)
        except OSError as error:
            raise self._disk_error(error) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()
        if kind is not None:
            self._path.unlink(missing_ok=True)

    def expect(self, total_bytes: int) -> None:
        """Refuse at once what says by itself that it is too large."""
        check_limit(total_bytes, self._limit, self._what)

    def write(self, chunk: bytes) -> None:
        self._left -= len(chunk)
        check_limit(self._limit - self._left, self._limit, self._what)
        self._sha256.update(chunk)
        try:
            rest = memoryview(chunk)
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise self._disk_error(error) from error

    def sha256(self) -> str:
        return self._sha256.hexdigest()

    def _disk_error(self, error: OSError) -> TransientError:
        return TransientError(
            f"{self._what} cannot be written to {self._path}: {error.strerror}",
            hint="make room there, or check the folder's permissions",
        )


def collect(chunks: Iterable[bytes], *, max_bytes: int, what: str) -> bytes:
    """Raises `LimitExceeded` as soon as more than `max_bytes` came."""
    data = bytearray()
    for chunk in chunks:
        data += chunk
        check_limit(len(data), max_bytes, what)
    return bytes(data)


def check_length(data: bytes, length: int, what: str) -> bytes:
    """Return `data`. Raises `ObjectTooShort` where it is not `length` bytes."""
    if len(data) != length:
        raise ObjectTooShort(f"{what} ends before the range that was asked for")
    return data


def check_limit(size: int, max_bytes: int, what: str) -> None:
    if size > max_bytes:
        raise LimitExceeded(f"{what} is larger than {max_bytes} bytes")
