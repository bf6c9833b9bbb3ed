"""SIGHUP: settings are read again; what can change while the hub runs takes effect.

Environment variables are those of the start: only the settings file can have changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import structlog

from recall_daemon.app import CONTRACT_READ_S, Hub
from recall_daemon.backup.archive import jobs_of
from recall_daemon.backup.backup import Keep
from recall_daemon.ingest.agenda import Intervals
from recall_daemon.ingest.pipeline import Limits
from recall_daemon.settings import HubSettings
from recall_daemon.tiers import job as ageing
from recall_daemon.tiers.ageing import Rules
from recall_wire.errors import SettingsInvalid

log = structlog.get_logger(__name__)

_Part = Callable[[Hub, HubSettings], None]


def changed(old: HubSettings, new: HubSettings) -> set[str]:
    """The names of the settings that differ."""
    return {name for name in type(new).model_fields if getattr(old, name) != getattr(new, name)}


class Reload:
    """Reads the settings again with `load`, and hands them to the parts of a running hub.

    `check` is asked first whether they will do: TLS files that cannot be read leave everything as
    it is. `parts` are told beside the hub's own, each by the settings it takes up.
    """

    def __init__(
        self,
        hub: Hub,
        load: Callable[[], HubSettings],
        *,
        check: Callable[[HubSettings], None] = lambda _: None,
    ) -> None:
        self.parts: dict[frozenset[str], Callable[[HubSettings], None]] = {}
        self._hub = hub
        self._load = load
        self._check = check
        self._started_with = self._settings = hub.core.settings

    async def __call__(self) -> HubSettings:
        """The settings that are in effect from now on. Never raises `SettingsInvalid`: what cannot
        be used is logged, and nothing of it takes effect."""
        try:
            new = await asyncio.to_thread(self._load)
            self._check(new)
        except SettingsInvalid as error:
            log.error("settings.not_reloaded", error=str(error))
        else:
            self._take_up(new)
        return self._settings

    def _take_up(self, new: HubSettings) -> None:
        live = frozenset().union(*PARTS, *self.parts)
        names = changed(self._settings, new) & live
        for wanted, part in PARTS.items():
            if names & wanted:
                part(self._hub, new)
        for wanted, told in self.parts.items():
            if names & wanted:
                told(new)
        self._settings = new
        log.info("settings.reloaded", changed=sorted(names))
        # Compared with those of the start: one that was taken back needs none.
        late = changed(self._started_with, new) - live - _tls(self._started_with, new)
        if late:
            log.warning("settings.need_a_restart", settings=sorted(late))


def _tls(old: HubSettings, new: HubSettings) -> frozenset[str]:
    """A port with TLS takes up other files; one without needs a restart."""
    both = old.tls_cert is not None and new.tls_cert is not None
    return frozenset({"tls_cert", "tls_key"}) if both else frozenset()


def _looking(hub: Hub, settings: HubSettings) -> None:
    hub.pipeline.agenda.intervals = Intervals(
        bare=timedelta(seconds=settings.bare_interval_s),
        reconcile=timedelta(seconds=settings.reconcile_interval_s),
    )
    asker = hub.pipeline.agenda.gap_asker
    asker.first_delay = timedelta(seconds=settings.poll_interval_s)
    asker.give_up_after = timedelta(seconds=settings.gap_give_up_s)


def _limits(hub: Hub, settings: HubSettings) -> None:
    age = timedelta(seconds=settings.incomplete_max_age_s)
    pipeline = hub.pipeline
    pipeline.limits = Limits(
        max_snapshot_bytes=settings.max_snapshot_bytes,
        concurrency=pipeline.limits.concurrency,
        time_zone=settings.time_zone,
        incomplete_max_age=age,
    )
    pipeline.setbacks.incomplete_max_age = age
    hub.core.disk.min_free_bytes = settings.min_free_bytes
    hub.pushes.max_bytes = settings.max_snapshot_bytes
    for reader in (pipeline.readers.contract, pipeline.readers.whole):
        reader.max_rows = settings.max_snapshot_rows
        reader.max_bytes = settings.max_snapshot_bytes
    pipeline.readers.contract.timeout_s = min(CONTRACT_READ_S, settings.reader_timeout_s)
    pipeline.readers.whole.timeout_s = settings.reader_timeout_s


def _tiers(hub: Hub, settings: HubSettings) -> None:
    tiers = hub.core.tiers
    tiers.ageing.rules = Rules(
        warm_after=timedelta(seconds=settings.warm_after_s),
        cold_after=timedelta(seconds=settings.cold_after_s),
        keep_importance=settings.keep_importance,
    )
    tiers.groups.timeout_s = settings.cold_fetch_timeout_s
    tiers.groups.cache.limit(settings.cold_cache_bytes)
    hub.jobs.set_interval(ageing.KIND, timedelta(seconds=settings.age_interval_s))


def _archive(hub: Hub, settings: HubSettings) -> None:
    hub.archive.backups.keep = Keep(settings.backup_keep_daily, settings.backup_keep_weekly)
    hub.archive.expiry.after = timedelta(seconds=settings.expire_snapshots_after_s)
    hub.forgetting.purge.interval = timedelta(seconds=settings.purge_interval_s)
    for job in jobs_of(hub.archive, settings):
        hub.jobs.set_interval(job.kind, job.every)


# Which settings each part of the hub takes up while it runs; all others need a restart.
PARTS: dict[frozenset[str], _Part] = {
    frozenset(
        {"bare_interval_s", "reconcile_interval_s", "gap_give_up_s", "poll_interval_s"}
    ): _looking,
    frozenset(
        {
            "incomplete_max_age_s",
            "max_snapshot_bytes",
            "max_snapshot_rows",
            "min_free_bytes",
            "reader_timeout_s",
            "time_zone",
        }
    ): _limits,
    frozenset(
        {
            "warm_after_s",
            "cold_after_s",
            "keep_importance",
            "age_interval_s",
            "cold_cache_bytes",
            "cold_fetch_timeout_s",
        }
    ): _tiers,
    frozenset(
        {
            "log_interval_s",
            "backup_interval_s",
            "backup_keep_daily",
            "backup_keep_weekly",
            "expire_snapshots_after_s",
            "purge_interval_s",
        }
    ): _archive,
}
