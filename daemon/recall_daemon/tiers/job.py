"""Ageing as the hub's hourly job."""

from __future__ import annotations

from datetime import timedelta

from recall_daemon.backup.archive import Archive
from recall_daemon.backup.owner import check_owner
from recall_daemon.jobs import Job, Progress
from recall_daemon.settings import HubSettings
from recall_daemon.store.store import Store
from recall_daemon.tiers.tiers import Tiers

KIND = "age"


def age_job(tiers: Tiers, store: Store, archive: Archive, settings: HubSettings) -> Job:
    """Rows move down, cold files are compacted, and what no row and no backup needs is deleted."""

    def work(progress: Progress) -> None:
        # A hub whose store was restored elsewhere would take the other one's objects for orphans.
        check_owner(archive.bucket, store)
        tiers.age(progress.update, named_by_backups=archive.backups.named_cold_keys)

    return Job(KIND, timedelta(seconds=settings.age_interval_s), work)
