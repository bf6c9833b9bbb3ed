"""A folder listed as S3 lists a bucket: in the byte order of whole keys, prefixes rolled up.

Only folders that can hold an answer are read: not those beside the prefix, not those wholly before
`start_after`, and of a rolled-up folder no more than its first file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from recall_wire.buckets.base import LIST_PAGE_KEYS, ListPage, ObjectInfo
from recall_wire.buckets.folder_files import TMP, etag, folder_at, open_folder
from recall_wire.buckets.keys import KEY_MAX_BYTES

_VANISHED = (FileNotFoundError, NotADirectoryError)


def pages(root: Path, prefix: str, start_after: str, delimiter: str) -> Iterator[ListPage]:
    """At least one page, as S3 does. Raises OSError. What vanishes meanwhile is left out."""
    objects: list[ObjectInfo] = []
    prefixes: list[str] = []
    for found in _Walk(root, prefix, start_after, delimiter).found():
        if len(objects) + len(prefixes) == LIST_PAGE_KEYS:
            yield ListPage(tuple(objects), tuple(prefixes))
            objects, prefixes = [], []
        if isinstance(found, str):
            prefixes.append(found)
        else:
            objects.append(found)
    yield ListPage(tuple(objects), tuple(prefixes))


class _Walk:
    def __init__(self, root: Path, prefix: str, start_after: str, delimiter: str) -> None:
        self._root = root
        self._prefix = prefix
        self._start_after = start_after.encode(errors="surrogatepass")
        self._delimiter = delimiter
        self._rolled_up = ""

    def found(self) -> Iterator[ObjectInfo | str]:
        """Objects, and rolled-up prefixes as plain strings."""
        folder, slash, _ = self._prefix.rpartition("/")
        try:
            with folder_at(self._root, folder.split("/") if slash else []) as fd:
                yield from self._folder(fd, folder + slash)
        except _VANISHED:
            return

    def _folder(self, fd: int, at: str) -> Iterator[ObjectInfo | str]:
        for _, name, is_folder in sorted(self._wanted(fd, at)):
            key = f"{at}{name}/" if is_folder else at + name
            prefix = self._rolled(key)
            if prefix and prefix == self._rolled_up:
                continue
            if is_folder:
                yield from self._subfolder(fd, name, key, prefix)
            elif prefix:
                self._rolled_up = prefix
                yield prefix
            elif (info := _info(fd, name, key)) is not None:
                yield info

    def _subfolder(self, fd: int, name: str, key: str, prefix: str) -> Iterator[ObjectInfo | str]:
        try:
            child = open_folder(fd, name)
        except _VANISHED:
            return
        try:
            # Where `start_after` lies inside, whether a key is left needs the ordered walk.
            if not prefix or self._start_after.startswith(key.encode()):
                yield from self._folder(child, key)
            elif _holds_file(child):
                self._rolled_up = prefix
                yield prefix
        finally:
            os.close(child)

    def _wanted(self, fd: int, at: str) -> Iterator[tuple[bytes, str, bool]]:
        """Entries with a key in question; the first item sorts them as S3 sorts whole keys."""
        with os.scandir(fd) as entries:
            for entry in entries:
                is_folder = entry.is_dir(follow_symlinks=False)
                key = f"{at}{entry.name}/" if is_folder else at + entry.name
                if not (is_folder or entry.is_file(follow_symlinks=False)):
                    continue
                if key.startswith(self._prefix) and key != f"{TMP}/":
                    order = _encoded(key)
                    if order and self._is_after(order, is_folder):
                        yield order, entry.name, is_folder

    def _is_after(self, order: bytes, is_folder: bool) -> bool:
        return order > self._start_after or (is_folder and self._start_after.startswith(order))

    def _rolled(self, key: str) -> str:
        """The common prefix that S3 shows instead of `key`, or nothing."""
        if not self._delimiter:
            return ""
        before, found, _ = key[len(self._prefix) :].partition(self._delimiter)
        return self._prefix + before + found if found else ""


def _encoded(key: str) -> bytes:
    """Nothing for a file name that is not UTF-8, or too long: it is no key, on any backend."""
    try:
        order = key.encode()
    except UnicodeEncodeError:
        return b""
    return order if len(order) <= KEY_MAX_BYTES else b""


def _info(fd: int, name: str, key: str) -> ObjectInfo | None:
    try:
        return object_info(key, os.stat(name, dir_fd=fd, follow_symlinks=False))
    except _VANISHED:
        return None


def object_info(key: str, status: os.stat_result) -> ObjectInfo:
    modified_at = datetime.fromtimestamp(status.st_mtime, UTC)
    return ObjectInfo(key, status.st_size, etag(status), modified_at)


def _holds_file(fd: int) -> bool:
    """Whether any regular file lies below, found without sorting or reading everything."""
    with os.scandir(fd) as entries:
        folders = []
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                return True
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
    return any(_folder_holds_file(fd, name) for name in folders)


def _folder_holds_file(fd: int, name: str) -> bool:
    try:
        child = open_folder(fd, name)
    except _VANISHED:
        return False
    try:
        return _holds_file(child)
    finally:
        os.close(child)
