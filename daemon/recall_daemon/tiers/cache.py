"""Row groups of cold files on disk: bounded in bytes, the least recently read go first.

An entry is a file; what a crash or a full disk left of one does not have its digest, and counts
for nothing. So nothing here is ever synced.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from recall_daemon.tiers.cold_object import digest

_SUFFIX = ".group"


class GroupKey(NamedTuple):
    """A row group of the file whose bytes have that sha256 (hex)."""

    sha256: str
    group: int

    @property
    def name(self) -> str:
        return f"{self.sha256[:32]}-{self.group}{_SUFFIX}"


class GroupCache:
    """Safe to call from several threads. `limit_bytes` 0: nothing is kept."""

    def __init__(self, folder: Path, *, limit_bytes: int) -> None:
        self._folder = folder
        self.limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._sizes: OrderedDict[str, int] | None = None
        self._bytes = 0
        self.hits = 0
        self.misses = 0

    def get(self, key: GroupKey, expected: bytes) -> bytes | None:
        """The bytes of a row group, if they are here and have the digest that is expected."""
        data = self._read(key.name)
        found = data is not None and digest(data) == expected
        with self._lock:
            self.hits += found
            self.misses += not found
            if found:
                self._known().move_to_end(key.name)
            else:
                self._drop(key.name)
        return data if found else None

    def put(self, key: GroupKey, data: bytes) -> None:
        """Keep a row group's bytes. A disk that does not take them is no error."""
        if len(data) > self.limit_bytes:
            return
        with self._lock, suppress(OSError):
            self._drop(key.name)
            while self._bytes + len(data) > self.limit_bytes:
                self._drop(next(iter(self._known())))
            self._write(key.name, data)
            self._known()[key.name] = len(data)
            self._bytes += len(data)

    def limit(self, limit_bytes: int) -> None:
        """Keep no more than that from now on."""
        with self._lock:
            self.limit_bytes = limit_bytes
            self._known()
            while self._bytes > limit_bytes:
                self._drop(next(iter(self._known())))

    def clear(self) -> None:
        """Remove everything: no text of any cold row is left here."""
        with self._lock:
            for name in list(self._known()):
                self._drop(name)

    def usage(self) -> dict[str, int]:
        """`{bytes, limit_bytes, entries, hits, misses}`; hits and misses of this process."""
        with self._lock:
            entries = len(self._known())
            return {
                "bytes": self._bytes,
                "limit_bytes": self.limit_bytes,
                "entries": entries,
                "hits": self.hits,
                "misses": self.misses,
            }

    def _known(self) -> OrderedDict[str, int]:
        """Names and sizes, the least recently read first; read from the folder once."""
        if self._sizes is None:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            found = [(e.stat().st_mtime_ns, e.name, e.stat().st_size) for e in self._entries()]
            self._sizes = OrderedDict((name, size) for _, name, size in sorted(found))
            self._bytes = sum(self._sizes.values())
        return self._sizes

    def _entries(self) -> Iterable[os.DirEntry[str]]:
        for entry in list(os.scandir(self._folder)):
            if entry.name.endswith(_SUFFIX):
                yield entry
            else:
                # A write that a crash cut off.
                os.unlink(entry.path)

    def _read(self, name: str) -> bytes | None:
        path = self._folder / name
        try:
            data = path.read_bytes()
            _touch(path)
        except OSError:
            return None
        return data

    def _write(self, name: str, data: bytes) -> None:
        path = self._folder / f"{name}.new"
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
        _touch(path)
        path.replace(self._folder / name)

    def _drop(self, name: str) -> None:
        size = self._known().pop(name, None)
        if size is not None:
            (self._folder / name).unlink(missing_ok=True)
            self._bytes -= size


def _touch(path: Path) -> None:
    """The system's own stamp moves a few times in a hundredth of a second, and no faster."""
    now_ns = time.time_ns()
    os.utime(path, ns=(now_ns, now_ns))
