"""The journal into the bucket's log, in order, each object one run of entries.

An object's key is the number of its first entry, and it is put only where there is none. So a
shipping whose answer was lost is recognised as its own, and two hubs that go on from one number
cannot both write it.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from recall_daemon.backup.log_objects import (
    OBJECT_MAX_BYTES,
    decode,
    encode,
    object_keys,
    read_objects,
    spent,
)
from recall_daemon.backup.owner import check_owner, hub_id
from recall_daemon.errors import HubClash, LogNotShipped
from recall_daemon.jobs import Progress
from recall_daemon.store import journal, journal_texts, traces
from recall_daemon.store.arrivals import posted_to
from recall_daemon.store.journal import JournalEntry
from recall_daemon.store.store import Store
from recall_wire import layout
from recall_wire.buckets.base import Bucket
from recall_wire.errors import PreconditionFailed, RecallError

ENTRIES_MAX = 1_000
BODIES_MAX_BYTES = 16 << 20


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

    def holding(
        self, by_system: Mapping[str, Collection[str]], *, most: int
    ) -> dict[str, int | None]:
        """The log's objects that hold content of these memories, with how many rows of it.

        Reads the log, up to `most` objects; a longer one is named as a whole, without a number.
        Without posts and versions of these systems there is nothing to read. Raises what the bucket
        raises.
        """
        prefix_id = hub_id(self._store)
        keys = self._keys(by_system)
        if len(keys) > most:
            return {layout.log_prefix(prefix_id): None}
        return {
            key: rows
            for key, entries in read_objects(self._bucket, keys)
            if (rows := sum(_rows_of(entry, by_system) for entry in entries))
        }

    def _keys(self, by_system: Mapping[str, Collection[str]]) -> list[str]:
        """The log's objects where these systems were ever posted to, or had versions."""
        with self._store.read() as connection:
            systems = list(by_system)
            has = posted_to(connection, systems) or traces.is_logged(connection, systems)
        return object_keys(self._bucket, hub_id(self._store)) if has else []

    def let_go(self, upto: int) -> None:
        """Delete the objects without an entry above `upto`, which every backup that is kept has.

        Raises what the bucket raises.
        """
        with self._shipping:
            for key in spent(self._bucket, hub_id(self._store), upto):
                self._bucket.delete(key)

    def take_out(self, by_system: Mapping[str, Collection[str]]) -> list[str]:
        """Write those objects anew without that content; returns their keys. Idempotent."""
        prefix_id = hub_id(self._store)
        rewritten = []
        with self._shipping:
            for key, entries in read_objects(self._bucket, self._keys(by_system)):
                if any(_rows_of(entry, by_system) for entry in entries):
                    scrubbed = [_without(entry, by_system) for entry in entries]
                    self._bucket.put(key, encode(prefix_id, scrubbed))
                    rewritten.append(key)
        return rewritten

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
            if [_told(entry) for entry in entries[: len(there)]] != [_told(e) for e in there]:
                raise HubClash(
                    f"another recalld works under this hub's id: {key} holds other entries",
                    hint="stop one of the two; restore into an empty data folder takes both in",
                ) from None
            return there[-1].entry_no
        return entries[-1].entry_no


def _told(entry: JournalEntry) -> JournalEntry:
    """What of an entry stays as it is when something that it holds is forgotten."""
    ids = journal_texts.ids(entry.kind, entry.body)
    return replace(entry, body=journal_texts.without(entry.kind, entry.body, ids))


def _rows_of(entry: JournalEntry, by_system: Mapping[str, Collection[str]]) -> int:
    if entry.kind not in journal_texts.KINDS:
        return 0
    system_id = str(entry.body["system_id"])
    wanted = by_system.get(system_id, ())
    return journal_texts.holds(entry.kind, entry.body, system_id, wanted)


def _without(entry: JournalEntry, by_system: Mapping[str, Collection[str]]) -> JournalEntry:
    if not _rows_of(entry, by_system):
        return entry
    ids = by_system[str(entry.body["system_id"])]
    return replace(entry, body=journal_texts.without(entry.kind, entry.body, ids))
