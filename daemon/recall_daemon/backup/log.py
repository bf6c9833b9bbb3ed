"""The journal into the bucket's log, in order, each object one run of entries.

An object's key is the number of its first entry, and it is put only where there is none. So a
shipping whose answer was lost is recognised as its own, and two hubs that go on from one number
cannot both write it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from recall_daemon.backup.owner import check_owner, hub_id
from recall_daemon.errors import HubClash, LogDamaged, LogNotShipped
from recall_daemon.jobs import Progress
from recall_daemon.store import journal
from recall_daemon.store.journal import JournalEntry
from recall_daemon.store.store import Store
from recall_wire import layout
from recall_wire.buckets.base import Bucket
from recall_wire.errors import LimitExceeded, PreconditionFailed, RecallError
from recall_wire.manifest import sha256_hex

FORMAT, VERSION = "recall-log", 1
ENTRIES_MAX = 1_000
BODIES_MAX_BYTES = 16 << 20
# One entry may hold the identities of everything that one forget named.
OBJECT_MAX_BYTES = 64 << 20
PLAIN_MAX_BYTES = 512 << 20


class LogShipper:
    """Ships what the journal holds. Safe to call from several threads: one ships at a time."""

    def __init__(self, store: Store, bucket: Bucket) -> None:
        self._store = store
        self._bucket = bucket
        self._shipping = threading.Lock()

    def run(self, progress: Progress) -> None:
        """The job: ship everything there is."""
        shipped = 0
        for count in self._ship():
            shipped += count
            progress.update(shipped, detail=f"{shipped} entries shipped")

    def is_needed(self) -> bool:
        with self._store.read() as connection:
            return journal.last(connection) > journal.shipped(connection)

    def ship_now(self) -> None:
        """Have everything that was done so far in the bucket's log before this returns.

        What was done stays done where that fails: raises `LogNotShipped`, and the job ships it
        later. Raises `HubClash` where another hub works under this id.
        """
        try:
            for _ in self._ship():
                pass
        except HubClash:
            raise
        except RecallError as error:
            raise LogNotShipped(
                f"it is done in this hub, and is not in the bucket's log yet: {error.message}",
                hint="it is shipped by itself when the bucket answers; ask again to be sure",
            ) from error

    def _ship(self) -> Iterator[int]:
        with self._shipping:
            if self.is_needed():
                check_owner(self._bucket, self._store)
            prefix_id = hub_id(self._store)
            while entries := self._unshipped():
                last = self._put(prefix_id, entries)
                self._store.write(lambda c, no=last: journal.set_shipped(c, no))  # type: ignore[misc]
                yield last - entries[0].entry_no + 1

    def _unshipped(self) -> list[JournalEntry]:
        with self._store.read() as connection:
            return journal.unshipped(connection, ENTRIES_MAX, BODIES_MAX_BYTES)

    def _put(self, prefix_id: str, entries: Sequence[JournalEntry]) -> int:
        """Returns the number of the last entry that is in the bucket now."""
        first = entries[0].entry_no
        key = layout.log_key(prefix_id, first)
        try:
            self._bucket.put(key, encode(prefix_id, entries), if_absent=True)
        except PreconditionFailed:
            there = decode(self._bucket.get(key, max_bytes=OBJECT_MAX_BYTES), key)
            if list(entries[: len(there)]) != there:
                raise HubClash(
                    f"another recalld works under this hub's id: {key} holds other entries",
                    hint="stop one of the two; restore into an empty data folder takes both in",
                ) from None
            return there[-1].entry_no
        return entries[-1].entry_no


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
    for key in _keys(bucket, prefix_id, after):
        try:
            found = decode(bucket.get(key, max_bytes=OBJECT_MAX_BYTES), key)
        except (LogDamaged, LimitExceeded) as error:
            problems.append(error.message)
            continue
        entries |= {entry.entry_no: entry for entry in found if entry.entry_no > after}
    return LogRead(
        tuple(entries[no] for no in sorted(entries)), (*problems, *_gaps(entries, after))
    )


def _keys(bucket: Bucket, prefix_id: str, after: int) -> list[str]:
    """The log's objects that can hold entries above `after`; foreign keys are left alone."""
    firsts: list[int] = []
    prefix = layout.log_prefix(prefix_id)
    for page in bucket.list(prefix):
        for item in page.objects:
            digits = item.key.removeprefix(prefix).partition(".")[0]
            is_number = digits.isascii() and digits.isdigit() and int(digits) > 0
            if is_number and item.key == layout.log_key(prefix_id, int(digits)):
                firsts.append(int(digits))
    start = max((first for first in firsts if first <= after + 1), default=0)
    return [layout.log_key(prefix_id, first) for first in sorted(firsts) if first >= start]


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
