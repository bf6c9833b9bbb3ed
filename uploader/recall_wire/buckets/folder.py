"""A folder as a bucket: a local disk, a NAS, or a folder that something else keeps in sync."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from recall_wire.buckets import folder_listing, receiving
from recall_wire.buckets.base import ListPage, ObjectInfo, Part, PendingUpload
from recall_wire.buckets.folder_errors import translated
from recall_wire.buckets.folder_files import TMP, folder_at, open_file, sync_folder
from recall_wire.buckets.folder_staging import Staging
from recall_wire.buckets.folder_uploads import FolderUploads
from recall_wire.buckets.keys import check_key, check_prefix
from recall_wire.buckets.receiving import CHUNK_BYTES, NewFile
from recall_wire.errors import PreconditionFailed, UnsafeKey


class FolderBucket:
    """See `base.Bucket`. A write is durable, folders included, before it returns.

    The root is never created: a missing root is `BucketRefused`, since it may be a drive that is
    not mounted. (So name a folder below the mount point, which exists without the drive too.)
    Create-if-absent is atomic on local disks and on network drives with hard links or locks; a
    folder that something else synchronises cannot promise it. Symbolic links below the root are
    never followed. Where the file system knows no capitals, neither do the keys.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._staging = Staging(root)
        self._uploads = FolderUploads(root, self._staging)
        self.url = root.as_uri()

    def __repr__(self) -> str:
        return f"FolderBucket({self.url!r})"

    def list(
        self, prefix: str, *, start_after: str = "", delimiter: str = ""
    ) -> Iterator[ListPage]:
        check_prefix(prefix)
        walk = folder_listing.pages(self._root, prefix, start_after, delimiter)
        while True:
            with translated(f"list {prefix}", self.url):
                page = next(walk, None)
            if page is None:
                return
            yield page

    def get(self, key: str, *, max_bytes: int) -> bytes:
        with self._opened(key) as file:
            receiving.check_limit(_size(file), max_bytes, key)
            return receiving.collect(self._chunks(file, key), max_bytes=max_bytes, what=key)

    def get_range(self, key: str, start: int, length: int) -> bytes:
        with self._opened(key) as file, translated(f"read {key}", self.url):
            # Not by one read of `length` alone: what a caller asks for is no size of this file.
            length_here = max(min(length, _size(file) - start), 0)
            file.seek(start)
            return receiving.check_length(file.read(length_here), length, key)

    def head(self, key: str) -> ObjectInfo:
        with self._opened(key) as file:
            return folder_listing.object_info(key, os.fstat(file.fileno()))

    def download(self, key: str, path: Path, *, max_bytes: int) -> str:
        with self._opened(key) as file, NewFile(path, max_bytes=max_bytes, what=key) as new:
            new.expect(_size(file))
            for chunk in self._chunks(file, key):
                new.write(chunk)
            return new.sha256()

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> str:
        folders, name = _split(key)
        try:
            with translated(f"write {key}", self.url, writes=True), self._staging.file() as staged:
                staged.write(data)
                return staged.publish(folders, name, if_absent=if_absent)
        except PreconditionFailed as error:
            raise PreconditionFailed(f"{key} exists already in {self.url}") from error

    def delete(self, key: str) -> None:
        """Folders left empty go too, so that listings stay as quick as the keys are few."""
        folders, name = _split(key)
        with translated(f"delete {key}", self.url, writes=True), suppress(FileNotFoundError):
            with folder_at(self._root, folders) as folder:
                os.unlink(name, dir_fd=folder)
                sync_folder(folder)
            self._prune(folders)

    def create_multipart(self, key: str) -> str:
        _split(key)
        with translated(f"start an upload of {key}", self.url, writes=True):
            return self._uploads.create(key)

    def upload_part(self, key: str, upload_id: str, number: int, data: bytes | bytearray) -> Part:
        with translated(f"upload part {number} of {key}", self.url, writes=True):
            return self._uploads.add_part(key, upload_id, number, data)

    def complete_multipart(self, key: str, upload_id: str, parts: tuple[Part, ...]) -> str:
        folders, name = _split(key)
        with translated(f"complete the upload of {key}", self.url, writes=True):
            with self._staging.file() as staged:
                self._uploads.join_into(staged, key, upload_id, parts)
                tag = staged.publish(folders, name)
            self._uploads.remove(key, upload_id)
            return tag

    def abort_multipart(self, key: str, upload_id: str) -> None:
        with translated(f"abort an upload of {key}", self.url, writes=True):
            self._uploads.remove(key, upload_id)

    def list_parts(self, key: str, upload_id: str) -> tuple[Part, ...]:
        with translated(f"list the parts of {key}", self.url):
            return self._uploads.parts(key, upload_id)

    def list_multipart(self, prefix: str) -> tuple[PendingUpload, ...]:
        check_prefix(prefix)
        with translated(f"list the uploads under {prefix}", self.url):
            return self._uploads.pending(prefix)

    def close(self) -> None:
        """Nothing is held open between calls."""

    @contextmanager
    def _opened(self, key: str) -> Iterator[BinaryIO]:
        folders, name = _split(key)
        with translated(f"read {key}", self.url), folder_at(self._root, folders) as folder:
            file = open_file(folder, name)
        with file:
            yield file

    def _chunks(self, file: BinaryIO, key: str) -> Iterator[bytes]:
        while True:
            with translated(f"read {key}", self.url):
                chunk = file.read(CHUNK_BYTES)
            if not chunk:
                return
            yield chunk

    def _prune(self, folders: tuple[str, ...]) -> None:
        with suppress(OSError):  # the first folder that is not empty ends it
            for depth in range(len(folders), 0, -1):
                with folder_at(self._root, folders[: depth - 1]) as parent:
                    os.rmdir(folders[depth - 1], dir_fd=parent)
                self._staging.forget(folders[:depth])


def _split(key: str) -> tuple[tuple[str, ...], str]:
    check_key(key)
    *folders, name = key.split("/")
    if (folders or [name])[0] == TMP:
        raise UnsafeKey(f"the key {key[:120]!a} lies in the bucket's own folder {TMP}")
    return tuple(folders), name


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size
