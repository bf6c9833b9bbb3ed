"""An empty data folder made whole again: backup, then log, then the snapshots since.

`prepare` builds the store aside, backup and log complete, and renames it into place: a process
killed before that leaves nothing that counts, and the next run starts over. What is left then,
merging the snapshots that came since, is what the hub does at every start anyway.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from recall_daemon.backup.backup import unpack
from recall_daemon.backup.manifest import BackupManifest, time_of
from recall_daemon.backup.owner import make_heir
from recall_daemon.backup.replay import replay
from recall_daemon.backup.shelf import Shelf
from recall_daemon.errors import BackupDamaged, RestoreRefused, StoreFailed
from recall_daemon.ingest.pipeline import PollReport
from recall_daemon.jobs import Json
from recall_daemon.lock import FILE_NAME as LOCK_NAME
from recall_daemon.store import audit, copy, leasing, ledger
from recall_daemon.store.schema import check_version
from recall_daemon.store.store import FILE_NAME, Connection, Store
from recall_wire import layout
from recall_wire.buckets.base import Bucket
from recall_wire.errors import LimitExceeded, ObjectNotFound

FOLDER = "restore"
# What a data folder may hold and still be empty: the lock, what an earlier try left, the model.
_NOTHING = frozenset({LOCK_NAME, FOLDER, "models"})
_FACT = "restore"

_ALWAYS = (
    "what reached the lost hub in its last minute and by its port alone: instances send what they "
    "pushed again"
)


@dataclass(frozen=True)
class Prepared:
    """What `prepare` did; kept in the store until the restore is complete."""

    hub_id: str | None
    backup: str | None
    log_entries: int
    to: str | None
    could_be_missing: list[str] = field(default_factory=list)

    @property
    def moment(self) -> datetime | None:
        return datetime.fromisoformat(self.to) if self.to else None


def is_empty(folder: Path) -> bool:
    """Whether a data folder holds nothing that a restore could hurt."""
    return not folder.exists() or {path.name for path in folder.iterdir()} <= _NOTHING


def choose_hub(bucket: Bucket, wanted: str | None) -> str | None:
    """The hub to restore: the one wanted, or the only one in the bucket; None where there is none.

    Raises `RestoreRefused` where there are several, or not the one wanted.
    """
    found = [
        hub_id
        for page in bucket.list(layout.HUB, delimiter="/")
        for prefix in page.prefixes
        if (hub_id := layout.parse_hub_prefix(prefix)) is not None
    ]
    if wanted is not None and wanted not in found:
        known = f"it has {', '.join(found)}" if found else "it has none"
        raise RestoreRefused(f"the bucket has no hub {wanted[:60]!r}", hint=known)
    if wanted is None and len(found) > 1:
        raise RestoreRefused(
            f"the bucket has the hubs {', '.join(found)}", hint="say which with --hub"
        )
    return wanted or (found[0] if found else None)


def prepare(
    bucket: Bucket, folder: Path, *, hub_id: str | None, to: datetime | None, memory_bytes: int
) -> Prepared:
    """Put the newest backup of the hub that is not newer than `to`, and the log, into `folder`.

    Without a backup it starts from an empty store, without a hub from one without an id. Raises
    `RestoreRefused` where the folder is not empty, `BackupDamaged`, `StoreTooNew`, and what the
    bucket raises; the folder is as empty as before then.
    """
    if not is_empty(folder):
        raise RestoreRefused(
            f"{folder} is not empty", hint="restore into a new data folder, or move this one away"
        )
    aside = folder / FOLDER
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True, mode=0o700)
    try:
        manifest = _fetch(bucket, hub_id, to, aside) if hub_id else None
        store = Store(aside, memory_limit_bytes=memory_bytes)
        try:
            prepared = _complete(store, bucket, hub_id, manifest, to)
        finally:
            store.close()
        _put_in_place(aside / FILE_NAME, folder / FILE_NAME)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return prepared


def _fetch(bucket: Bucket, hub_id: str, to: datetime | None, aside: Path) -> BackupManifest | None:
    """The backup's store, unpacked under its own name in `aside`; None where there is no backup."""
    shelf = Shelf(bucket, hub_id)
    manifest = next((m for m in _newest_first(shelf, to) if to is None or m.created_at <= to), None)
    if manifest is None:
        return None
    if manifest.hub_id != hub_id:
        raise _damaged(manifest, f"is of another hub, {manifest.hub_id[:40]!r}")
    check_version(manifest.schema_version)
    packed = aside / layout.BACKUP_STORE
    key = layout.backup_key(hub_id, manifest.backup_id, layout.BACKUP_STORE)
    try:
        sha256 = bucket.download(key, packed, max_bytes=manifest.bytes)
    except (ObjectNotFound, LimitExceeded) as error:
        raise _damaged(manifest, "is absent or too large") from error
    if sha256 != manifest.sha256:
        raise _damaged(manifest, f"has sha256 {sha256[:16]}…")
    unpack(packed, aside / FILE_NAME, bytes_=manifest.store_bytes)
    packed.unlink()
    return manifest


def _newest_first(shelf: Shelf, to: datetime | None) -> Iterator[BackupManifest]:
    """Without reading those that are too new: one of them may be damaged."""
    for backup_id in shelf.whole():
        if to is None or time_of(backup_id) <= to:
            yield shelf.read(backup_id)


def _damaged(manifest: BackupManifest, what: str) -> BackupDamaged:
    return BackupDamaged(
        f"the store of backup {manifest.backup_id} {what}",
        hint=f"--to a time before {manifest.created_at.isoformat()} takes the one before it",
    )


def _complete(
    store: Store,
    bucket: Bucket,
    hub_id: str | None,
    manifest: BackupManifest | None,
    to: datetime | None,
) -> Prepared:
    """Bring a store that is not in its place yet up to the log, and note what was done."""
    if manifest is not None:
        _check_hash(store, manifest)
    if hub_id is not None:
        store.write(lambda connection: ledger.set_fact(connection, "hub_id", hub_id))
        too_late = _none_as_old(bucket, hub_id, to) if manifest is None and to else []
        replayed = replay(store, bucket, hub_id, to=to)
        store.write(make_heir)
    store.write(leasing.void_all)
    prepared = Prepared(
        hub_id=hub_id,
        backup=manifest.backup_id if manifest else None,
        log_entries=replayed.entries if hub_id else 0,
        to=to.isoformat() if to else None,
        could_be_missing=[*too_late, *replayed.problems] if hub_id else [],
    )
    store.write(lambda c: ledger.set_fact(c, _FACT, json.dumps(asdict(prepared))))
    return prepared


def _none_as_old(bucket: Bucket, hub_id: str, to: datetime) -> list[str]:
    """A sentence that says so."""
    made = [time_of(backup_id) for backup_id in Shelf(bucket, hub_id).whole()]
    oldest = f"the oldest is of {min(made):%FT%TZ}" if made else "there is none"
    return [
        f"no backup was made before {to.astimezone(UTC):%FT%TZ}, {oldest}: the snapshots of then "
        "that are still in the bucket are all there is"
    ]


def _check_hash(store: Store, manifest: BackupManifest) -> None:
    with store.read() as connection:
        found = audit.logical_hash(connection)
    if found != manifest.logical_hash:
        raise _damaged(manifest, f"has the logical hash {found[:16]}…")


def _put_in_place(source: Path, target: Path) -> None:
    """A closed store has no log beside it: one rename is all of it, and it survives power loss."""
    if source.with_name(source.name + ".wal").exists():
        raise StoreFailed(f"the log of {source} could not be brought into it")
    with source.open("rb") as file:
        os.fsync(file.fileno())
    source.rename(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def unfinished(store: Store) -> Prepared | None:
    """What `prepare` did to this store, where snapshots are still to be merged."""
    with store.read() as connection:
        told = ledger.fact(connection, _FACT)
    return Prepared(**json.loads(told)) if told else None


def finish(store: Store, cold: Bucket, prepared: Prepared, report: PollReport) -> Json:
    """The answer of a restore, once the snapshots since are merged.

    What could be missing is said in one sentence each. With something pending the restore stays
    unfinished. `cold` is where the texts of cold rows lie.
    """
    if not report.pending:
        store.write(lambda connection: ledger.drop_fact(connection, _FACT))
    with store.read() as connection:
        rows = copy.live_rows(connection)
        logical_hash = audit.logical_hash(connection)
        missing = [*prepared.could_be_missing, *_from_ledger(connection, prepared)]
    missing += [f"not merged yet: {error}" for error in report.errors[:5]]
    missing += _absent_cold(store, cold)
    return {
        "hub_id": prepared.hub_id,
        "backup": prepared.backup,
        "log_entries": prepared.log_entries,
        "merged": report.merged,
        "pending": report.pending,
        "rows": rows,
        "logical_hash": logical_hash,
        "could_be_missing": [*missing, _ALWAYS],
    }


def _from_ledger(connection: Connection, prepared: Prepared) -> list[str]:
    notes = [
        f"{gap.system_id}: snapshots {gap.first} to {gap.last} are not in the bucket: never "
        "uploaded, or expired after this backup"
        for gap in ledger.gaps(connection)
    ]
    notes += [
        f"snapshot {entry.place} is in quarantine: {entry.reason}"
        for entry in ledger.entries(connection, "quarantined")
    ]
    notes += [
        f"{key}: what earlier versions of it held; a snapshot without a manifest is overwritten"
        for key in ledger.newest_bare(connection)
        if prepared.backup is None
    ]
    return notes


def _absent_cold(store: Store, bucket: Bucket) -> list[str]:
    """The cold objects that rows need and the bucket has not."""
    with store.read() as connection:
        files = copy.cold_files(connection)
    notes = []
    for file in files:
        try:
            bucket.head(file.key)
        except ObjectNotFound:
            notes.append(f"{file.key} is absent: the texts of {file.rows} cold rows")
    return notes
