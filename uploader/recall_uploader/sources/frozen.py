"""A folder's files as they were at one moment: what is read later is that, or nothing."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from recall_wire.errors import SourceBusy, SourceInvalid

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_NAMED_MAX = 10


@dataclass(frozen=True, slots=True)
class FrozenFile:
    """`name` is the path inside the folder, with `/`; bytes that are no UTF-8 are escaped in it."""

    path: Path
    name: str
    size_bytes: int
    modified_ns: int
    inode: int

    def open(self, *, may_grow: bool) -> BinaryIO:
        """Raises `SourceBusy` where it is not the file of that moment any more.

        `may_grow`: it is enough that the bytes seen then are still there.
        """
        try:
            file = os.fdopen(os.open(self.path, _FLAGS), "rb")
        except OSError as error:
            raise self.busy("cannot be opened any more") from error
        if not self._is_same(os.fstat(file.fileno()), may_grow=may_grow):
            file.close()
            raise self.busy("was changed")
        return file

    def check(self, file: BinaryIO) -> None:
        """Raises `SourceBusy` where the open file was written since."""
        if not self._is_same(os.fstat(file.fileno()), may_grow=False):
            raise self.busy("was changed")

    def busy(self, what: str) -> SourceBusy:
        return SourceBusy(
            f"{printable(self.name)} {what} while the source was read",
            hint="try again when its owner is quiet",
        )

    def _is_same(self, seen: os.stat_result, *, may_grow: bool) -> bool:
        if seen.st_ino != self.inode:
            return False
        if may_grow:
            return seen.st_size >= self.size_bytes
        return (seen.st_size, seen.st_mtime_ns) == (self.size_bytes, self.modified_ns)


@dataclass(slots=True)
class Listing:
    """`unreadable` names files and folders that are there and cannot be read."""

    files: list[FrozenFile] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    links: int = 0

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)

    def sentences(self) -> list[str]:
        """What a person should know: bounded, however many there are."""
        shown = [f"{printable(n)} could not be read" for n in self.unreadable[:_NAMED_MAX]]
        if (more := len(self.unreadable) - _NAMED_MAX) > 0:
            shown.append(f"{more} more could not be read")
        if self.links:
            shown.append(f"{self.links} link{'s were' if self.links > 1 else ' was'} not followed")
        return shown


def freeze_folder(
    root: Path, wanted: Callable[[str], bool], *, enter: Callable[[str], bool] = lambda name: True
) -> Listing:
    """Every regular file below `root` whose name is `wanted`, in the order of the names' bytes.

    Links are counted and never followed: they may lead out of the folder, or in a circle. Raises
    `SourceInvalid` where the folder itself cannot be read.
    """
    listing = Listing()
    folders = [(root, "")]
    while folders:
        folder, prefix = folders.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            if folder == root:
                raise _unreadable(root, error) from error
            listing.unreadable.append(prefix)
            continue
        for entry in entries:
            name = f"{prefix}{entry.name}"
            if entry.is_symlink():
                listing.links += wanted(entry.name) or entry.is_dir()
            elif entry.is_dir(follow_symlinks=False):
                if enter(entry.name):
                    folders.append((Path(entry.path), f"{name}/"))
            elif wanted(entry.name) and entry.is_file(follow_symlinks=False):
                _add(listing, Path(entry.path), name)
    listing.files.sort(key=lambda file: os.fsencode(file.name))
    return listing


def freeze_file(path: Path) -> Listing:
    """One file, which may be named by a link. Raises `SourceInvalid` where it cannot be read."""
    listing = Listing()
    _add(listing, path.resolve(), path.name)
    if not listing.files:
        raise SourceInvalid(f"{path} cannot be read", hint="check the path and its rights")
    return listing


def read_lines(file: BinaryIO, size: int, max_bytes: int) -> Iterator[bytes | None]:
    """The lines in the first `size` bytes; None for one that is longer than `max_bytes`."""
    left = size
    while left > 0:
        line = file.readline(min(left, max_bytes + 1))
        if not line:
            return
        left -= len(line)
        if len(line) <= max_bytes or line.endswith(b"\n"):
            yield line
            continue
        while left > 0 and not line.endswith(b"\n"):
            line = file.readline(min(left, 1 << 20))
            left -= len(line)
            if not line:
                break
        yield None


def printable(name: str) -> str:
    """A name for a message: whatever it holds, short and on one line."""
    return "".join(char if char.isprintable() else "?" for char in name)[:200]


def _add(listing: Listing, path: Path, name: str) -> None:
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError:
        listing.unreadable.append(name)
        return
    try:
        seen = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if stat.S_ISREG(seen.st_mode):
        listing.files.append(FrozenFile(path, name, seen.st_size, seen.st_mtime_ns, seen.st_ino))


def _unreadable(root: Path, error: OSError) -> SourceInvalid:
    if isinstance(error, FileNotFoundError):
        return SourceInvalid(f"there is no folder {root}", hint="check the path")
    return SourceInvalid(
        f"the folder {root} cannot be read: {error.strerror or error}", hint="check its rights"
    )
