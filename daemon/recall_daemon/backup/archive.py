"""Log, backups and expiry of one hub, built together, and the jobs they bring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from recall_daemon.backup.backup import Backups, Keep
from recall_daemon.backup.expiry import Expiry
from recall_daemon.backup.log import LogShipper
from recall_daemon.jobs import Job
from recall_daemon.settings import HubSettings
from recall_daemon.store.store import Store
from recall_wire.buckets.base import Bucket

EXPIRY_INTERVAL = timedelta(days=1)


@dataclass(frozen=True)
class Archive:
    """What a hub keeps in the bucket for the day it is lost. All of it blocks."""

    bucket: Bucket
    log: LogShipper
    backups: Backups
    expiry: Expiry

    def close(self) -> None:
        self.bucket.close()


def make_archive(
    settings: HubSettings, store: Store, bucket: Bucket, *, now: Callable[[], datetime]
) -> Archive:
    log = LogShipper(store, bucket)
    backups = Backups(
        store,
        bucket,
        log,
        folder=settings.data_dir,
        keep=Keep(settings.backup_keep_daily, settings.backup_keep_weekly),
        now=now,
    )
    after = timedelta(seconds=settings.expire_snapshots_after_s)
    return Archive(bucket, log, backups, Expiry(store, bucket, backups, after=after, now=now))


def jobs_of(archive: Archive, settings: HubSettings) -> list[Job]:
    """`log`, `backup` and `expire`."""
    every = timedelta(seconds=settings.backup_interval_s) or None
    expire_every = EXPIRY_INTERVAL if settings.expire_snapshots_after_s else None
    log_every = timedelta(seconds=settings.log_interval_s)
    return [
        Job("log", log_every, archive.log.run, archive.log.is_needed),
        Job("backup", every, archive.backups.run),
        Job("expire", expire_every, archive.expiry.run),
    ]
