"""Snapshots that need not stay in `systems/`: merged long ago, and in the two newest backups.

Off unless asked for. Never expired: the snapshot a head points at, a system's highest one, what is
not merged, what differs from what was merged, and what came without a manifest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from recall_daemon.backup.backup import Backups
from recall_daemon.backup.manifest import BackupManifest
from recall_daemon.backup.owner import check_owner
from recall_daemon.jobs import Json, Progress
from recall_daemon.store import ledger
from recall_daemon.store.ledger import Entry
from recall_daemon.store.store import Store
from recall_wire import layout
from recall_wire.buckets.base import Bucket
from recall_wire.errors import LimitExceeded, ManifestInvalid, ObjectNotFound
from recall_wire.layout import SnapshotKey
from recall_wire.manifest import HEAD_MAX_BYTES, parse_head

# So many of the newest whole backups must hold a snapshot's rows.
BACKUPS_NEEDED = 2


@dataclass(frozen=True)
class _Manifests:
    """One system's snapshots in the bucket: the ETag of each manifest, by number."""

    system_id: str
    etags: dict[int, str]


class Expiry:
    """Deletes what the policy lets go. Blocking."""

    def __init__(
        self,
        store: Store,
        bucket: Bucket,
        backups: Backups,
        *,
        after: timedelta,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._bucket = bucket
        self._backups = backups
        self.after = after
        self._now = now

    def is_needed(self) -> bool:
        return bool(self.after)

    def run(self, progress: Progress) -> None:
        """The job. A snapshot that was cut short here is merged: its rest goes the next time."""
        check_owner(self._bucket, self._store)
        for expired, place in enumerate(self._due(), start=1):
            self._delete(*place)
            progress.update(expired, detail=f"{expired} snapshots expired")

    def plan(self) -> Json:
        """`{expire_snapshots_after_s, snapshots: [{system_id, seq}]}`: what a run would delete."""
        due = [{"system_id": system_id, "seq": seq} for system_id, seq in self._due()]
        return {"expire_snapshots_after_s": self.after.total_seconds(), "snapshots": due}

    def _due(self) -> Iterator[tuple[str, int]]:
        if not self.after:
            return
        backups = self._backups.manifests()[:BACKUPS_NEEDED]
        if len(backups) < BACKUPS_NEEDED:
            return
        for found in self._manifests():
            kept = {max(found.etags), self._head_seq(found.system_id)}
            if None in kept:
                continue
            for entry in self._old(found.system_id):
                seq = entry.place.seq
                same = found.etags.get(seq) == entry.etag and entry.reason is None
                if same and seq not in kept and _is_in(backups, entry):
                    yield found.system_id, seq

    def _manifests(self) -> Iterator[_Manifests]:
        """The systems in the bucket, one after the other: keys come in order."""
        current: _Manifests | None = None
        for page in self._bucket.list(layout.SYSTEMS):
            for item in page.objects:
                key = layout.parse_key(item.key)
                if not isinstance(key, SnapshotKey) or not key.is_manifest:
                    continue
                if current is None or current.system_id != key.system_id:
                    if current is not None:
                        yield current
                    current = _Manifests(key.system_id, {})
                current.etags[key.seq] = item.etag
        if current is not None:
            yield current

    def _head_seq(self, system_id: str) -> int | None:
        """None where the head is absent or cannot be read: then nothing of the system expires."""
        try:
            data = self._bucket.get(layout.head_key(system_id), max_bytes=HEAD_MAX_BYTES)
            return parse_head(data, system_id=system_id).seq
        except (ObjectNotFound, LimitExceeded, ManifestInvalid):
            return None

    def _old(self, system_id: str) -> list[Entry]:
        """What was merged long enough ago, lowest first."""
        before = self._now() - self.after
        with self._store.read() as connection:
            merged = ledger.entries(connection, "merged", system_id=system_id)
        return [
            entry
            for entry in merged
            if entry.place.sub == 0
            and entry.etag is not None
            and entry.settled_at is not None
            and entry.settled_at <= before
        ]

    def _delete(self, system_id: str, seq: int) -> None:
        """The manifest goes last: until then the snapshot is found again."""
        prefix = layout.snapshot_prefix(system_id, seq)
        for page in self._bucket.list(prefix):
            for item in page.objects:
                key = layout.parse_key(item.key)
                if isinstance(key, SnapshotKey) and not key.is_manifest:
                    self._bucket.delete(item.key)
        self._bucket.delete(layout.manifest_key(system_id, seq))


def _is_in(backups: Sequence[BackupManifest], entry: Entry) -> bool:
    system_id, seq = entry.place.system_id, entry.place.seq
    return all(
        (system := backup.systems.get(system_id)) is not None and system.has(seq)
        for backup in backups
    )
