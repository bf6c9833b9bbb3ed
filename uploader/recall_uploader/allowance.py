"""The time that reading a source may take on top of `upload_timeout_s`."""

from __future__ import annotations

import os
from pathlib import Path

# Reading, redacting and comparing twice runs at several MiB a second on any machine.
S_PER_MIB = 1.0
_MIB = 1 << 20


def reading_s(path: Path) -> float:
    """By the size of a file, or of all files in a folder; what cannot be looked at counts as
    nothing, and fails by itself when it is read."""
    return S_PER_MIB * _bytes(path.expanduser()) / _MIB


def _bytes(path: Path) -> int:
    if not path.is_dir():
        return _size(path)
    return sum(_size(Path(at, name)) for at, _, names in os.walk(path) for name in names)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
