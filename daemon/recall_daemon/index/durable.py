"""Files that are there whole or not at all, also after kill -9 and after power loss."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import shutil
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from recall_wire.errors import TerminalError, TransientError

_PIECE_BYTES = 8 << 20
_CHECKERS = 2
# What `write_json` wrote is never longer.
_JSON_MAX_BYTES = 1 << 20


class Damaged(TerminalError):
    """A file of the index is not what was written. It is made anew from the store."""


class IndexFailed(TransientError):
    """The index's folder cannot be written or read at present."""


def sync(path: Path) -> None:
    """Have the file, or a folder's entries, reach the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Replace the file by one rename. Its own checksum is the first key."""
    body = json.dumps(value)
    rest = path.with_suffix(".new")
    with rest.open("w") as file:
        json.dump({"crc32": zlib.crc32(body.encode()), "value": body}, file)
        file.flush()
        os.fsync(file.fileno())
    rest.replace(path)
    sync(path.parent)


def read_json(path: Path) -> dict[str, Any] | None:
    """What `write_json` wrote; None where there is no such file. Raises `Damaged`."""
    try:
        with path.open("rb") as file:
            outer = json.loads(file.read(_JSON_MAX_BYTES))
        if zlib.crc32(outer["value"].encode()) != outer["crc32"]:
            raise Damaged(f"{path.name} does not match its checksum")
        return dict(json.loads(outer["value"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
        raise Damaged(f"{path.name} cannot be read") from error


def whole_number(value: object) -> int:
    """A number that the index itself counted. Raises ValueError for anything else."""
    if type(value) is not int or not 0 <= value < 1 << 62:
        raise ValueError(f"{str(value)[:40]!r} is no number of the index")
    return value


def crc32_of(path: Path, size: int) -> int:
    """Of the file's first `size` bytes. About 1 GB/s a core, without the GIL."""
    crc = 0
    if not size:
        return crc
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        view = memoryview(data)
        try:
            for start in range(0, size, _PIECE_BYTES):
                with view[start : min(start + _PIECE_BYTES, size)] as piece:
                    crc = zlib.crc32(piece, crc)
        finally:
            view.release()
    return crc


def check_files(folder: Path, files: dict[str, tuple[int, int]]) -> None:
    """Compare the crc32 of each file's first bytes, two files at a time. Raises `Damaged`.

    `files`: name → (how many bytes, their crc32).
    """

    def check(name: str) -> None:
        size, crc = files[name]
        try:
            if (folder / name).stat().st_size < size:
                raise Damaged(f"{name} is too short")
            if crc32_of(folder / name, size) != crc:
                raise Damaged(f"{name} does not match its checksum")
        except OSError as error:
            raise Damaged(f"{name} cannot be read: {error.strerror}") from error

    with ThreadPoolExecutor(_CHECKERS) as pool:
        list(pool.map(check, files))


def read_ahead(folder: Path) -> None:
    """Have the system begin to read all files of a folder that will be read soon."""
    if not hasattr(os, "posix_fadvise"):
        return
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError), path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)


def remove(path: Path) -> None:
    """A file or a folder with all that is in it; what is not there is removed already."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Have a folder there that only its owner can read; anything else in its place goes."""
    if path.is_symlink() or not path.is_dir():
        remove(path)
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
