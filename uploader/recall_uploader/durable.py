"""Files that survive a power cut: written, fsynced, renamed, and their folder fsynced."""

from __future__ import annotations

import os
from pathlib import Path


def sync_file(path: Path) -> None:
    """Returns when the file's bytes are on the disk."""
    _fsync(path, os.O_RDONLY)


def sync_folder(path: Path) -> None:
    """Returns when the folder's entries (creations, renames, removals) are on the disk."""
    _fsync(path, os.O_RDONLY | os.O_DIRECTORY)


def write_file(path: Path, data: bytes) -> None:
    """Write a new file whose bytes are on the disk; its name is not until `sync_folder`."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def move_folder(folder: Path, target: Path) -> None:
    """Rename, and return when both parents know it. The target must not exist or be empty."""
    folder.rename(target)
    sync_folder(target.parent)
    if folder.parent != target.parent:
        sync_folder(folder.parent)


def make_private_folder(path: Path) -> None:
    """Create a folder only its owner can read. Idempotent; an existing one keeps its mode."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def _fsync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
