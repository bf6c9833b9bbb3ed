"""Which transcripts need no reading: those that are as they were when their turns were sent.

A resumed or branched session copies another's turns under the same ids, but may stamp its own
session, folder and version on them. So that such a turn does not become another one by which of
its files happened to change, files that begin with the same turn are read together, or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from recall_uploader.sources.frozen import FrozenFile, read_lines
from recall_uploader.sources.key import digest_of
from recall_uploader.sources.transcript_entry import parse_entry

# Raised when a turn is read into another record than before: all are then read once more.
_READER = 1
_ROOT_SEARCH_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Selection:
    """`stamps` are to be remembered once every turn in `files` is spooled."""

    files: list[FrozenFile]
    stamps: dict[str, str]


def select(files: list[FrozenFile], stamps: Mapping[str, str]) -> Selection:
    """The files that changed since, and those that share their beginning with one that did."""
    keys = {file.name: digest_of(f"recall file {file.name}") for file in files}
    unchanged: dict[str, str] = {}
    roots: dict[str, str] = {}
    for file in files:
        seen, _, root = stamps.get(keys[file.name], "").rpartition(":")
        if seen == _stamp(file):
            unchanged[file.name] = root
        else:
            roots[file.name] = _root_of(file)
    moved = {root for root in roots.values() if root}
    roots |= unchanged
    return Selection(
        files=[f for f in files if f.name not in unchanged or roots[f.name] in moved],
        stamps={keys[f.name]: f"{_stamp(f)}:{roots[f.name]}" for f in files},
    )


def _stamp(file: FrozenFile) -> str:
    return f"{_READER}:{file.size_bytes}:{file.modified_ns}:{file.inode}"


def _root_of(file: FrozenFile) -> str:
    """The first turn, as a digest; empty where there is none yet."""
    size = min(file.size_bytes, _ROOT_SEARCH_BYTES)
    with file.open(may_grow=True) as reading:
        for line in read_lines(reading, size, _ROOT_SEARCH_BYTES):
            entry = parse_entry(line) if line else None
            if entry and entry.uuid and entry.type in ("user", "assistant"):
                return digest_of(entry.uuid)
    return ""
