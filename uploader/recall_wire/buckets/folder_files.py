"""Files and folders of a folder bucket, reached without following links."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from recall_wire.errors import BucketRefused

TMP = ".recall-tmp"
MULTIPART = "multipart"
KEY_FILE = "key"

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_NO_FOLDER_SYNC = {errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP}


@contextmanager
def folder_at(root: Path, names: Sequence[str], *, create: bool = False) -> Iterator[int]:
    """A descriptor of the folder `names` below `root`, no symbolic link followed below `root`.

    Raises `BucketRefused` where the root itself is missing, and otherwise OSError.
    """
    fd = _open_root(root)
    try:
        for name in names:
            child = _enter(fd, name, create)
            os.close(fd)
            fd = child
        yield fd
    finally:
        os.close(fd)


def _open_root(root: Path) -> int:
    try:
        return os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BucketRefused(
            f"the bucket's folder {root} is not there",
            hint="mount its drive, or create the folder if it is a new bucket",
        ) from error


def _enter(fd: int, name: str, create: bool) -> int:
    try:
        return open_folder(fd, name)
    except FileNotFoundError:
        if not create:
            raise
    with suppress(FileExistsError):
        os.mkdir(name, dir_fd=fd)
    sync_folder(fd)
    return open_folder(fd, name)


def open_folder(parent: int, name: str) -> int:
    """Raises NotADirectoryError, also for a link (some systems say ELOOP), and other OSErrors."""
    try:
        return os.open(name, _FOLDER, dir_fd=parent)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise NotADirectoryError(errno.ENOTDIR, "a symbolic link", name) from error
        raise


def open_file(folder: int, name: str) -> BinaryIO:
    """Open a regular file for reading. Raises OSError, also for a link, a folder or a pipe."""
    fd = os.open(name, _READ, dir_fd=folder)
    file = os.fdopen(fd, "rb")
    if not is_regular(os.fstat(fd)):
        file.close()
        raise IsADirectoryError(errno.EISDIR, "not a regular file", name)
    return file


def is_regular(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode)


def etag(status: os.stat_result) -> str:
    """Changes with every write: a rename brings a new inode, a write in place a new time."""
    return f"{status.st_mtime_ns:x}-{status.st_size:x}-{status.st_ino:x}"


def sync_file(fd: int) -> None:
    os.fsync(fd)
    if hasattr(fcntl, "F_FULLFSYNC"):  # macOS: fsync alone leaves the bytes in the drive's cache
        with suppress(OSError):
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)


def sync_folder(fd: int) -> None:
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:  # some network file systems have no such thing
            raise
