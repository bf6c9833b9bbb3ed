"""The backups of one hub in the bucket: which are whole, reading and removing them."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

from recall_daemon.backup.manifest import MAX_BYTES, BackupManifest, parse_backup
from recall_wire import layout
from recall_wire.buckets.base import Bucket
from recall_wire.buckets.multipart import abort_stale
from recall_wire.errors import BucketRefused, ObjectNotFound

_EVER = datetime.max.replace(tzinfo=UTC)


class Shelf:
    """Objects under `hub/<hub_id>/backups/` that are not a backup's are never touched."""

    def __init__(self, bucket: Bucket, hub_id: str) -> None:
        self._bucket = bucket
        self._hub_id = hub_id

    def whole(self) -> list[str]:
        """The ids of the backups that were completed, newest first. Read-only."""
        return sorted((name for name, keys in self._found().items() if self._marker(name) in keys))[
            ::-1
        ]

    def read(self, backup_id: str) -> BackupManifest:
        """Raises `BackupDamaged`, `StoreTooNew`, `ObjectNotFound`."""
        return parse_backup(
            self._bucket.get(self._marker(backup_id), max_bytes=MAX_BYTES), backup_id
        )

    def manifests(self) -> list[BackupManifest]:
        """Every whole backup, newest first. Raises what `read` raises; one that goes meanwhile is
        left out."""
        found = []
        for backup_id in self.whole():
            with contextlib.suppress(ObjectNotFound):
                found.append(self.read(backup_id))
        return found

    def delete(self, backup_id: str) -> None:
        """Idempotent. The marker goes first: from then on it is a leftover."""
        self._bucket.delete(self._marker(backup_id))
        self._bucket.delete(layout.backup_key(self._hub_id, backup_id, layout.BACKUP_STORE))

    def clean(self) -> int:
        """Remove what backups that were cut off left; returns how many. While none is made."""
        with contextlib.suppress(BucketRefused):  # credentials may not list uploads
            abort_stale(self._bucket, layout.backups_prefix(self._hub_id), _EVER)
        cut_off = [n for n, keys in self._found().items() if self._marker(n) not in keys]
        for backup_id in cut_off:
            self.delete(backup_id)
        return len(cut_off)

    def _marker(self, backup_id: str) -> str:
        return layout.backup_key(self._hub_id, backup_id, layout.BACKUP_MANIFEST)

    def _found(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for page in self._bucket.list(layout.backups_prefix(self._hub_id)):
            for item in page.objects:
                parsed = layout.parse_backup_key(self._hub_id, item.key)
                if parsed is not None:
                    found.setdefault(parsed[0], set()).add(item.key)
        return found
