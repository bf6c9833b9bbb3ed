"""The objects of the bucket's log: what one holds, and reading all of them in order."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import pyarrow as pa

from recall_daemon.errors import LogDamaged
from recall_daemon.store.journal import JournalEntry
from recall_wire import layout
from recall_wire.buckets.base import Bucket
from recall_wire.errors import LimitExceeded, ObjectNotFound
from recall_wire.manifest import sha256_hex

FORMAT, VERSION = "recall-log", 1
# One entry may hold the identities of everything that one forget named.
OBJECT_MAX_BYTES = 64 << 20
PLAIN_MAX_BYTES = 512 << 20


@dataclass(frozen=True)
class LogRead:
    """The log as the bucket has it. `problems`: one sentence for each thing that is not there."""

    entries: tuple[JournalEntry, ...]
    problems: tuple[str, ...]


def read_log(bucket: Bucket, prefix_id: str, *, after: int) -> LogRead:
    """The log's entries with a number above `after`, in order. Read-only.

    An object that holds entries on both sides is read; damaged ones are told, not raised.
    """
    entries: dict[int, JournalEntry] = {}
    problems: list[str] = []
    for key in (layout.log_key(prefix_id, first) for first in _firsts(bucket, prefix_id, after)):
        try:
            found = decode(bucket.get(key, max_bytes=OBJECT_MAX_BYTES), key)
        except (LogDamaged, LimitExceeded) as error:
            problems.append(error.message)
            continue
        entries |= {entry.entry_no: entry for entry in found if entry.entry_no > after}
    return LogRead(
        tuple(entries[no] for no in sorted(entries)), (*problems, *_gaps(entries, after))
    )


def object_keys(bucket: Bucket, prefix_id: str) -> list[str]:
    """The log's objects, oldest first. Read-only."""
    return [layout.log_key(prefix_id, first) for first in _firsts(bucket, prefix_id, after=0)]


def read_objects(bucket: Bucket, keys: Sequence[str]) -> Iterator[tuple[str, list[JournalEntry]]]:
    """Each of the objects that can be read, with its entries. Read-only."""
    for key in keys:
        try:
            yield key, decode(bucket.get(key, max_bytes=OBJECT_MAX_BYTES), key)
        except (LogDamaged, LimitExceeded, ObjectNotFound):
            continue


def spent(bucket: Bucket, prefix_id: str, upto: int) -> list[str]:
    """The log's objects that hold no entry above `upto`, but for the newest. Read-only."""
    firsts = _firsts(bucket, prefix_id, after=0)
    return [
        layout.log_key(prefix_id, first)
        for first, following in pairwise(firsts)
        if following <= upto + 1
    ]


def _firsts(bucket: Bucket, prefix_id: str, after: int) -> list[int]:
    """The numbers of the log's objects that can hold entries above `after`, ascending; foreign keys
    are left alone."""
    firsts: list[int] = []
    prefix = layout.log_prefix(prefix_id)
    for page in bucket.list(prefix):
        for item in page.objects:
            digits = item.key.removeprefix(prefix).partition(".")[0]
            is_number = digits.isascii() and digits.isdigit() and int(digits) > 0
            if is_number and item.key == layout.log_key(prefix_id, int(digits)):
                firsts.append(int(digits))
    start = max((first for first in firsts if first <= after + 1), default=0)
    return [first for first in sorted(firsts) if first >= start]


def _gaps(entries: dict[int, JournalEntry], after: int) -> list[str]:
    gaps = []
    previous = after
    for entry_no in sorted(entries):
        if entry_no > previous + 1:
            gaps.append(f"the log lacks entries {previous + 1} to {entry_no - 1}")
        previous = entry_no
    return gaps


def encode(prefix_id: str, entries: Sequence[JournalEntry]) -> bytes:
    """A log object: zstd of JSON with the entries and their sha256."""
    lines = [
        {
            "entry_no": entry.entry_no,
            "happened_at": entry.happened_at.isoformat(),
            "kind": entry.kind,
            "body": entry.body,
        }
        for entry in entries
    ]
    told = {"format": FORMAT, "version": VERSION, "hub_id": prefix_id, "entries": lines}
    plain = json.dumps(told | {"sha256": _sha256(lines)}, ensure_ascii=False).encode()
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(plain)
    return bytes(sink.getvalue())


def decode(data: bytes, key: str) -> list[JournalEntry]:
    """The entries of a log object, at least one, in order. Raises `LogDamaged`."""
    try:
        with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
            plain = stream.read(PLAIN_MAX_BYTES)
        told = json.loads(plain)
        lines = told["entries"]
        if told["format"] != FORMAT or told["version"] != VERSION or not lines:
            raise ValueError("not a log object of this version")
        if told["sha256"] != _sha256(lines):
            raise ValueError("its entries are not what its sha256 says")
        return [
            JournalEntry(
                int(line["entry_no"]),
                datetime.fromisoformat(line["happened_at"]),
                str(line["kind"]),
                dict(line["body"]),
            )
            for line in lines
        ]
    except (ValueError, KeyError, TypeError, OSError, pa.ArrowException) as error:
        raise LogDamaged(f"{key} cannot be read: {error}") from error


def _sha256(lines: object) -> str:
    return sha256_hex(json.dumps(lines, ensure_ascii=False, sort_keys=True).encode())
