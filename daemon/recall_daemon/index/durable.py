"""Files that are there whole or not at all, also after kill -9 and after power loss."""

from __future__ import annotations

import json
import mmap
import os
import shutil
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from recall_wire.errors import TerminalError

_PIECE_BYTES = 8 << 20
_CHECKERS = 2


class Damaged(TerminalError):
    """A file of the index is not what was written. It is made anew from the store."""


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
        outer = json.loads(path.read_bytes())
        if zlib.crc32(outer["value"].encode()) != outer["crc32"]:
            raise Damaged(f"{path.name} does not match its checksum")
        return dict(json.loads(outer["value"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise Damaged(f"{path.name} cannot be read") from error


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


def remove(path: Path) -> None:
    """A file or a folder with all that is in it; what is not there is removed already."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
