"""Which settings a running hub takes up."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from structlog.testing import capture_logs

from recall_daemon.app import open_hub
from recall_daemon.core import open_core
from recall_daemon.service.reload import PARTS, Reload
from recall_daemon.settings import HubSettings
from recall_wire.errors import SettingsInvalid

# Each with another value than its default.
OTHER: dict[str, Any] = {
    "bare_interval_s": 0,
    "reconcile_interval_s": 60,
    "gap_give_up_s": 1,
    "poll_interval_s": 7,
    "incomplete_max_age_s": 2,
    "max_snapshot_bytes": 3,
    "max_snapshot_rows": 4,
    "min_free_bytes": 5,
    "reader_timeout_s": 6,
    "time_zone": "Europe/Vienna",
    "warm_after_s": 8,
    "cold_after_s": 9,
    "keep_importance": 0.1,
    "age_interval_s": 61,
    "cold_cache_bytes": 10,
    "cold_fetch_timeout_s": 11,
    "log_interval_s": 12,
    "backup_interval_s": 0,
    "backup_keep_daily": 13,
    "backup_keep_weekly": 14,
    "expire_snapshots_after_s": 15,
    "purge_interval_s": 16,
}


def test_every_setting_that_is_taken_up_is_one() -> None:
    names = [name for part in PARTS for name in part]
    assert sorted(names) == sorted(set(names))
    assert set(names) == set(OTHER)
    assert set(names) <= set(HubSettings.model_fields)


async def test_all_of_them_reach_their_parts(publisher: Any, tmp_path: Path) -> None:
    old = HubSettings(
        bucket_url=f"file://{publisher.root}", data_dir=tmp_path / "hub", embedder="hash"
    )
    new = HubSettings(**(old.model_dump() | OTHER | {"concurrency": 9}))
    with open_core(old) as core:
        async with open_hub(core) as hub:
            with capture_logs() as logs:
                assert await Reload(hub, lambda: new)() == new
            agenda, pipeline, tiers = hub.pipeline.agenda, hub.pipeline, core.tiers
            assert (agenda.intervals.bare, agenda.intervals.reconcile) == (_s(0), _s(60))
            assert (agenda.gap_asker.give_up_after, agenda.gap_asker.first_delay) == (_s(1), _s(7))
            assert (
                pipeline.limits.incomplete_max_age == pipeline.setbacks.incomplete_max_age == _s(2)
            )
            assert pipeline.limits.max_snapshot_bytes == hub.pushes.max_bytes == 3
            assert (pipeline.limits.time_zone, pipeline.limits.concurrency) == ("Europe/Vienna", 4)
            for reader in (pipeline.readers.contract, pipeline.readers.whole):
                assert (reader.max_bytes, reader.max_rows, reader.timeout_s) == (3, 4, 6)
            assert hub.core.disk.min_free_bytes == 5
            assert (tiers.ageing.rules.warm_after, tiers.ageing.rules.cold_after) == (_s(8), _s(9))
            assert tiers.ageing.rules.keep_importance == 0.1
            assert (tiers.groups.cache.limit_bytes, tiers.groups.timeout_s) == (10, 11)
            assert (hub.archive.backups.keep.daily, hub.archive.backups.keep.weekly) == (13, 14)
            assert hub.archive.expiry.after == _s(15)
            assert hub.forgetting.purge.interval == _s(16)
            every = {job["kind"]: job["every_s"] for job in hub.jobs.listed()["jobs"]}
            assert (every["age"], every["log"], every["backup"]) == (61, 12, None)
            assert every["expire"] == 86_400
    said = {entry["event"]: entry for entry in logs}
    assert said["settings.reloaded"]["changed"] == sorted(OTHER)
    assert said["settings.need_a_restart"]["settings"] == ["concurrency"]


async def test_what_cannot_be_used_changes_nothing(publisher: Any, tmp_path: Path) -> None:
    old = HubSettings(
        bucket_url=f"file://{publisher.root}", data_dir=tmp_path / "hub", embedder="hash"
    )
    new = old.model_copy(update={"min_free_bytes": 1})

    def refused() -> HubSettings:
        raise SettingsInvalid("no such file")

    def check(_: HubSettings) -> None:
        raise SettingsInvalid("no such certificate")

    with open_core(old) as core:
        async with open_hub(core) as hub:
            for reload in (
                Reload(hub, refused),
                Reload(hub, lambda: new, check=check),
            ):
                with capture_logs() as logs:
                    assert await reload() == old
                assert [entry["event"] for entry in logs] == ["settings.not_reloaded"]
                assert hub.core.disk.min_free_bytes == old.min_free_bytes


def _s(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)
