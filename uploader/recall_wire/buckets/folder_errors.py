"""The one translation of a folder's OSErrors into our own errors."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from recall_wire.errors import (
    BucketRefused,
    BucketUnreachable,
    ObjectNotFound,
    RecallError,
    UnsafeKey,
)

_FULL = {errno.ENOSPC, errno.EDQUOT}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
# A symbolic link (never followed), or a file where a folder should be, or the other way round.
_IN_THE_WAY = {errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EMLINK}


@contextmanager
def translated(what: str, where: str, *, writes: bool = False) -> Iterator[None]:
    """Raise our own error `from` the OSError. `what` is an infinitive: "read heads/a"."""
    try:
        yield
    except OSError as error:
        raise translate(error, what, where, writes=writes) from error


def translate(error: OSError, what: str, where: str, *, writes: bool = False) -> RecallError:
    failed = f"cannot {what} in {where}"
    if error.errno in _DENIED:
        return BucketRefused(
            f"{failed}: permission denied",
            hint="give this user the right to read and write the folder",
        )
    if error.errno in _FULL:
        return BucketUnreachable(f"{failed}: disk full", hint="make room on the folder's disk")
    if error.errno == errno.ENAMETOOLONG:
        return UnsafeKey(f"{failed}: a part of the key is too long for a file name")
    if error.errno in _IN_THE_WAY and writes:
        return BucketRefused(
            f"{failed}: a file or a symbolic link stands where a folder belongs",
            hint="move it away: links inside the bucket are not followed",
        )
    if error.errno in _IN_THE_WAY or (error.errno == errno.ENOENT and not writes):
        return ObjectNotFound(f"{failed}: it is not there")
    return BucketUnreachable(f"{failed}: {error.strerror or type(error).__name__}")
