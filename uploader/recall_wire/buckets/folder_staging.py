"""How a file of a folder bucket comes to be: bytes first, durably, and then the name."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from recall_wire.buckets.folder_files import (
    KEY_FILE,
    MULTIPART,
    TMP,
    etag,
    folder_at,
    sync_file,
    sync_folder,
)
from recall_wire.errors import PreconditionFailed

STALE_S = 24 * 3600.0

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_HARD_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}
_PRUNE_RACES = 5
_REMEMBERED_FOLDERS = 10_000


class Staging:
    """`.recall-tmp/`: files get their bytes here, durably, and only then their name.

    What a crash leaves here is removed after a day.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._swept = False
        self._durable: set[tuple[str, ...]] = set()

    @contextmanager
    def file(self) -> Iterator[StagedFile]:
        self._sweep_once()
        with folder_at(self._root, [TMP], create=True) as folder:
            name = f"{uuid.uuid4().hex}.tmp"
            file = os.fdopen(os.open(name, _CREATE, 0o666, dir_fd=folder), "wb", buffering=0)
            try:
                with file:
                    yield StagedFile(self, folder, name, file)
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=folder)

    @contextmanager
    def target(self, names: Sequence[str]) -> Iterator[int]:
        """The folder to publish into, made if need be, itself durable up to the root.

        Also where another process made it: that one may have died before its own fsync.
        """
        with folder_at(self._root, names, create=True) as folder:
            for depth in range(len(names), 0, -1):
                if tuple(names[:depth]) in self._durable:
                    break
                with folder_at(self._root, names[: depth - 1]) as parent:
                    sync_folder(parent)
            if len(self._durable) > _REMEMBERED_FOLDERS:
                self._durable.clear()
            self._durable.update(tuple(names[:depth]) for depth in range(1, len(names) + 1))
            yield folder

    def forget(self, names: Sequence[str]) -> None:
        """The folder was removed: if it is made again, it must be made durable again."""
        self._durable.difference_update(tuple(names[:n]) for n in range(1, len(names) + 1))

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """One writer at a time on this machine, and beyond it where the drive carries locks.

        Freed by the kernel when its holder dies, so a crash blocks nobody.
        """
        with folder_at(self._root, [TMP], create=True) as folder:
            fd = os.open("lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666, dir_fd=folder)
            try:
                with suppress(OSError):  # a drive without locks: create-if-absent is not promised
                    fcntl.flock(fd, fcntl.LOCK_EX)
                yield
            finally:
                os.close(fd)

    def _sweep_once(self) -> None:
        with self._lock:
            swept, self._swept = self._swept, True
        if not swept:
            with suppress(FileNotFoundError), folder_at(self._root, [TMP]) as folder:
                _sweep_files(folder)
            with suppress(FileNotFoundError), folder_at(self._root, [TMP, MULTIPART]) as folder:
                _sweep_uploads(folder)


class StagedFile:
    """A file without a name yet. Write to `file`, then `publish` it once."""

    def __init__(self, staging: Staging, folder: int, name: str, file: BinaryIO) -> None:
        self._staging = staging
        self._folder = folder
        self._name = name
        self.file = file

    def write(self, data: bytes | bytearray) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self.file.write(rest) :]

    def publish(self, names: Sequence[str], name: str, *, if_absent: bool = False) -> str:
        """Durably give the bytes their name, and return the ETag.

        A deletion elsewhere may prune the target folder between our opening it and the rename.
        """
        sync_file(self.file.fileno())
        for _ in range(_PRUNE_RACES):
            with suppress(FileNotFoundError), self._staging.target(names) as target:
                self._name_in(target, name, if_absent=if_absent)
                return etag(os.fstat(self.file.fileno()))
            self._staging.forget(names)
        raise FileNotFoundError(errno.ENOENT, "the folder keeps being removed", name)

    def _name_in(self, target: int, name: str, *, if_absent: bool) -> None:
        try:
            if if_absent:
                self._link(target, name)
            else:
                os.replace(self._name, name, src_dir_fd=self._folder, dst_dir_fd=target)
        finally:
            # Also where the name exists: who hears so takes it for committed, and its writer may
            # have died between the link and this very call.
            sync_folder(target)

    def _link(self, target: int, name: str) -> None:
        try:
            os.link(
                self._name,
                name,
                src_dir_fd=self._folder,
                dst_dir_fd=target,
                follow_symlinks=False,
            )
        except FileExistsError as error:
            raise PreconditionFailed(f"{name} exists already") from error
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            self._rename_if_absent(target, name)

    def _rename_if_absent(self, target: int, name: str) -> None:
        """For file systems without hard links: look, then rename, under a lock."""
        with self._staging.exclusive():
            with suppress(FileNotFoundError):
                os.stat(name, dir_fd=target, follow_symlinks=False)
                raise PreconditionFailed(f"{name} exists already")
            os.replace(self._name, name, src_dir_fd=self._folder, dst_dir_fd=target)


def _sweep_files(folder: int) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                if entry.name.endswith(".tmp") and _stale(entry.stat(follow_symlinks=False)):
                    os.unlink(entry.name, dir_fd=folder)


def _sweep_uploads(folder: int) -> None:
    """An upload without its key was cut off while it was made or removed: nobody can list it."""
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError, NotADirectoryError):
                if _stale(entry.stat(follow_symlinks=False)) and not _has_key(folder, entry.name):
                    shutil.rmtree(entry.name, dir_fd=folder)


def _has_key(folder: int, upload_id: str) -> bool:
    try:
        os.stat(f"{upload_id}/{KEY_FILE}", dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _stale(status: os.stat_result) -> bool:
    return status.st_mtime < time.time() - STALE_S
