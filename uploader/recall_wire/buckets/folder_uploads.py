"""Multipart uploads in a folder: parts are files until they are joined; they outlive a crash.

.recall-tmp/multipart/<upload_id>/key      the key, written first: an upload exists when it does
.recall-tmp/multipart/<upload_id>/00001    a part
"""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from recall_wire.buckets.base import MAX_PARTS, Part, PendingUpload
from recall_wire.buckets.folder_files import (
    KEY_FILE,
    MULTIPART,
    TMP,
    etag,
    folder_at,
    open_file,
)
from recall_wire.buckets.folder_staging import StagedFile, Staging
from recall_wire.buckets.keys import KEY_MAX_BYTES
from recall_wire.errors import ObjectNotFound

_UPLOAD_ID = re.compile(r"[0-9a-f]{32}")
_PART = re.compile(r"[0-9]{5}")


class FolderUploads:
    """Raises `ObjectNotFound` for an upload that is not there, and otherwise OSError."""

    def __init__(self, root: Path, staging: Staging) -> None:
        self._root = root
        self._staging = staging

    def create(self, key: str) -> str:
        upload_id = uuid.uuid4().hex
        with self._staging.file() as staged:
            staged.write(key.encode())
            staged.publish([TMP, MULTIPART, upload_id], KEY_FILE)
        return upload_id

    def add_part(self, key: str, upload_id: str, number: int, data: bytes | bytearray) -> Part:
        """Durable before it is acknowledged: a resumed upload trusts it by its size."""
        if not 1 <= number <= MAX_PARTS:
            raise ValueError(f"part number {number} is outside 1..{MAX_PARTS}")
        with self._upload(key, upload_id), self._staging.file() as staged:
            staged.write(data)
            tag = staged.publish([TMP, MULTIPART, upload_id], _part_name(number))
        return Part(number, tag, len(data))

    def parts(self, key: str, upload_id: str) -> tuple[Part, ...]:
        with self._upload(key, upload_id) as folder:
            names = sorted(name for name in os.listdir(folder) if _PART.fullmatch(name))
            return tuple(_part(folder, int(name)) for name in names)

    def join_into(
        self, staged: StagedFile, key: str, upload_id: str, parts: tuple[Part, ...]
    ) -> None:
        """Copy the parts, in order, into a staged file."""
        with self._upload(key, upload_id) as folder:
            for part in parts:
                with _opened(folder, part) as file:
                    shutil.copyfileobj(file, staged.file, 1 << 20)

    def remove(self, key: str, upload_id: str) -> None:
        """Idempotent. The key goes first: half removed, the upload is no longer there."""
        try:
            with self._upload(key, upload_id) as folder:
                os.unlink(KEY_FILE, dir_fd=folder)
        except (ObjectNotFound, FileNotFoundError):
            return
        self._staging.forget([TMP, MULTIPART, upload_id])
        with suppress(FileNotFoundError), folder_at(self._root, [TMP, MULTIPART]) as folder:
            shutil.rmtree(upload_id, dir_fd=folder)

    def pending(self, prefix: str) -> tuple[PendingUpload, ...]:
        """By key, then by age."""
        try:
            with folder_at(self._root, [TMP, MULTIPART]) as folder:
                ids = [name for name in os.listdir(folder) if _UPLOAD_ID.fullmatch(name)]
        except FileNotFoundError:
            return ()
        found = [upload for upload_id in ids if (upload := self._pending(upload_id)) is not None]
        found.sort(key=lambda upload: (upload.key.encode(), upload.started_at))
        return tuple(upload for upload in found if upload.key.startswith(prefix))

    def _pending(self, upload_id: str) -> PendingUpload | None:
        try:
            with folder_at(self._root, [TMP, MULTIPART, upload_id]) as folder:
                key, started = _key_of(folder)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return PendingUpload(key, upload_id, datetime.fromtimestamp(started, UTC))

    @contextmanager
    def _upload(self, key: str, upload_id: str) -> Iterator[int]:
        missing = f"there is no upload {upload_id[:40]} of {key}"
        if not _UPLOAD_ID.fullmatch(upload_id):
            raise ObjectNotFound(missing)
        try:
            with folder_at(self._root, [TMP, MULTIPART, upload_id]) as folder:
                if _key_of(folder)[0] != key:
                    raise ObjectNotFound(missing)
                yield folder
        except FileNotFoundError as error:
            raise ObjectNotFound(missing) from error


def _key_of(folder: int) -> tuple[str, float]:
    with open_file(folder, KEY_FILE) as file:
        key = file.read(KEY_MAX_BYTES).decode(errors="replace")
        return key, os.fstat(file.fileno()).st_mtime


def _part_name(number: int) -> str:
    return f"{number:05d}"


def _part(folder: int, number: int) -> Part:
    status = os.stat(_part_name(number), dir_fd=folder, follow_symlinks=False)
    return Part(number, etag(status), status.st_size)


@contextmanager
def _opened(folder: int, part: Part) -> Iterator[BinaryIO]:
    with open_file(folder, _part_name(part.number)) as file:
        if etag(os.fstat(file.fileno())) != part.etag:
            raise ObjectNotFound(f"part {part.number} is not the one that was uploaded")
        yield file
