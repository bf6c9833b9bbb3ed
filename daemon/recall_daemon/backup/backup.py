"""Making a backup: a consistent copy of the store, packed, into the bucket; the marker last."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa

from recall_daemon.backup import retention
from recall_daemon.backup.log import LogShipper
from recall_daemon.backup.manifest import (
    BackedUpSystem,
    BackupManifest,
    NamedColdFile,
    backup_id,
    encode_backup,
)
from recall_daemon.backup.owner import check_owner, hub_id
from recall_daemon.backup.shelf import Shelf
from recall_daemon.errors import BackupDamaged, BackupRunning, DiskFull
from recall_daemon.jobs import Json, Progress
from recall_daemon.store import journal
from recall_daemon.store.copy import CopyContents, copy_store
from recall_daemon.store.store import Store
from recall_wire import layout
from recall_wire.buckets.base import Bucket
from recall_wire.buckets.multipart import upload_file

FOLDER = "backup"
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Keep:
    """How many backups stay; see `retention.kept`."""

    daily: int
    weekly: int


class Backups:
    """Makes, lists and removes the backups of one hub. Blocking; safe to call from threads.

    Made by the one process that holds the data folder: what it finds in `folder`/backup is a
    leftover.
    """

    def __init__(
        self,
        store: Store,
        bucket: Bucket,
        shipper: LogShipper,
        *,
        folder: Path,
        keep: Keep,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._bucket = bucket
        self._shipper = shipper
        self._folder = folder / FOLDER
        self.keep = keep
        self._now = now
        self._making = threading.Lock()
        # What a killed process left may hold what was forgotten since.
        shutil.rmtree(self._folder, ignore_errors=True)

    def run(self, progress: Progress) -> None:
        """The job: one backup, then retention.

        Raises `BackupRunning` where one is being made, `HubClash`, `DiskFull`, and what the bucket
        raises. Whenever it ends early, no half backup counts and the next run cleans up.
        """
        if not self._making.acquire(blocking=False):
            raise BackupRunning("a backup is being made already")
        try:
            self._run(progress)
        finally:
            self._making.release()

    def _run(self, progress: Progress) -> None:
        check_owner(self._bucket, self._store)
        self._shelf.clean()
        self._shipper.ship_now()
        self._new_folder()
        try:
            manifest = self._make(progress)
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._store.write(lambda connection: journal.prune(connection, manifest.journal_no))
        self._let_go()
        told = f"backup {manifest.backup_id}: {manifest.rows} rows, {manifest.bytes} bytes"
        progress.update(manifest.bytes, manifest.bytes, told)

    def listed(self) -> Json:
        """`{backups: [{backup_id, created_at, rows, bytes, …}]}`, newest first. Read-only."""
        return {"backups": [manifest.summary() for manifest in self._shelf.manifests()]}

    def manifests(self) -> list[BackupManifest]:
        """Every whole backup, newest first. Read-only."""
        return self._shelf.manifests()

    def named_cold_keys(self) -> set[str]:
        """The cold objects that a backup in the bucket names: none of them may be deleted.

        An object that was retired before this is called, and is not named, is never named again.
        Raises `BackupRunning` while a backup is made, since what that one names shows only at its
        end; `BackupDamaged` where a manifest cannot be read: then nothing may be deleted.
        """
        if not self._making.acquire(blocking=False):
            raise BackupRunning("a backup is being made", hint="ask again when it is done")
        try:
            return {file.key for told in self._shelf.manifests() for file in told.cold_files}
        finally:
            self._making.release()

    def delete(self, name: str) -> None:
        """Remove one backup by its id. Idempotent."""
        self._shelf.delete(name)

    def clean(self) -> None:
        """Remove what backups left that were cut off. Raises `BackupRunning`."""
        if not self._making.acquire(blocking=False):
            raise BackupRunning("a backup is being made", hint="ask again when it is done")
        try:
            self._shelf.clean()
        finally:
            self._making.release()

    @property
    def is_making(self) -> bool:
        """Whether one is being made that `manifests` does not show yet."""
        return self._making.locked()

    @property
    def _shelf(self) -> Shelf:
        return Shelf(self._bucket, hub_id(self._store))

    def _new_folder(self) -> None:
        """An empty folder for the copy. Raises `DiskFull` where copy and package may not fit."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(mode=0o700)
        needed = 2 * self._store.path.stat().st_size
        free = shutil.disk_usage(self._folder).free
        if free < needed:
            raise DiskFull(
                f"a backup needs {needed} bytes of disk at {self._folder}, {free} are free"
            )

    def _make(self, progress: Progress) -> BackupManifest:
        copy, packed = self._folder / "store.duckdb", self._folder / layout.BACKUP_STORE
        progress.update(0, detail="copying the store")
        contents = copy_store(self._store, copy)
        created_at = self._now()
        progress.update(0, detail="packing the copy")
        store_bytes = copy.stat().st_size
        pack(copy, packed, progress.check)
        copy.unlink()
        manifest = _manifest(contents, packed, created_at, store_bytes)
        self._upload(manifest, packed, progress)
        return manifest

    def _upload(self, manifest: BackupManifest, packed: Path, progress: Progress) -> None:
        key = layout.backup_key(manifest.hub_id, manifest.backup_id, layout.BACKUP_STORE)
        marker = layout.backup_key(manifest.hub_id, manifest.backup_id, layout.BACKUP_MANIFEST)
        sent = [0]

        def on_sent(count: int) -> None:
            sent[0] += count
            progress.update(sent[0], manifest.bytes, "sending the copy")

        upload_file(
            self._bucket,
            key,
            packed,
            sha256=manifest.sha256,
            bytes_=manifest.bytes,
            progress=on_sent,
            check=progress.check,
        )
        stored = self._bucket.head(key).bytes
        if stored != manifest.bytes:
            raise BackupDamaged(f"{key} has {stored} bytes in the bucket, not {manifest.bytes}")
        self._bucket.put(marker, encode_backup(manifest), if_absent=True)

    def _let_go(self) -> None:
        whole = self._shelf.whole()
        keep = retention.kept(whole, daily=self.keep.daily, weekly=self.keep.weekly)
        for name in whole:
            if name not in keep:
                self._shelf.delete(name)
        # A restore begins with a backup: what the oldest one has, it needs from no log.
        kept = self.manifests()
        if kept:
            self._shipper.let_go(min(manifest.journal_no for manifest in kept))


def pack(source: Path, target: Path, check: Callable[[], None]) -> None:
    """Compress a file with zstd, a chunk at a time; `check` may raise to end it."""
    with (
        source.open("rb") as file,
        pa.OSFile(str(target), "wb") as sink,
        pa.CompressedOutputStream(sink, "zstd") as stream,
    ):
        while chunk := file.read(_CHUNK_BYTES):
            check()
            stream.write(chunk)


def unpack(source: Path, target: Path, *, bytes_: int) -> None:
    """The reverse of `pack`, which must give so many bytes. Raises `BackupDamaged`."""
    written = 0
    try:
        with (
            pa.OSFile(str(source), "rb") as file,
            pa.CompressedInputStream(file, "zstd") as stream,
            target.open("xb") as sink,
        ):
            while chunk := stream.read(_CHUNK_BYTES):
                written += len(chunk)
                if written > bytes_:
                    break
                sink.write(chunk)
    except pa.ArrowException as error:
        raise BackupDamaged(f"{source.name} cannot be unpacked: {error}") from error
    if written != bytes_:
        told = "more" if written > bytes_ else f"{written}"
        raise BackupDamaged(f"{source.name} unpacks to {told}, not to the {bytes_} bytes told")


def _manifest(
    contents: CopyContents, packed: Path, created_at: datetime, store_bytes: int
) -> BackupManifest:
    with packed.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return BackupManifest(
        backup_id=backup_id(created_at, sha256),
        hub_id=contents.hub_id,
        created_at=created_at,
        recalld=version("recalld"),
        schema_version=contents.schema_version,
        change_no=contents.change_no,
        journal_no=contents.journal_no,
        sha256=sha256,
        bytes=packed.stat().st_size,
        store_bytes=store_bytes,
        rows=contents.rows,
        logical_hash=contents.logical_hash,
        space_id=contents.space_id,
        systems={
            name: BackedUpSystem(highest=ranges[-1][1], merged=ranges)
            for name, ranges in contents.merged.items()
        },
        cold_files=[NamedColdFile(**asdict(file)) for file in contents.cold_files],
    )
