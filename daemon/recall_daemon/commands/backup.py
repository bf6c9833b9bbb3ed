"""`recalld backup`, `restore` and `expire`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App

from recall_daemon.commands.jobs import run_job
from recall_daemon.commands.program import AsJson, Config, app, print_answer
from recall_daemon.errors import JobFailed, RestoreRefused
from recall_daemon.operations import Json
from recall_daemon.settings import HubSettings, load_settings
from recall_wire.exits import NOT_NOW

if TYPE_CHECKING:
    from recall_daemon.backup.archive import Archive
    from recall_daemon.backup.moment import BucketAtMoment
    from recall_daemon.backup.restore import Prepared
    from recall_daemon.remote import RemoteHub
    from recall_wire.buckets import Bucket

backup = App(name="backup", help="A consistent copy of the store into the bucket.")
app.command(backup)


@backup.default
def make(*, json_: AsJson = False, config: Config = None) -> None:
    """Make a backup now: by the daemon that runs, else by this process."""
    from recall_daemon.tables import print_fields

    _done(run_job("backup", config))
    answer: Json = _ask(config, lambda hub: hub.backups(), lambda a: a.backups.listed())
    newest = answer["backups"][0]
    print_answer(newest, json_, lambda console: print_fields(console, newest))


@backup.command(name="list")
def list_(*, json_: AsJson = False, config: Config = None) -> None:
    """The backups in the bucket, newest first."""
    from recall_daemon.tables import print_backups

    answer = _ask(config, lambda hub: hub.backups(), lambda archive: archive.backups.listed())
    print_answer(answer, json_, lambda console: print_backups(console, answer))


@app.command
def expire(*, dry_run: bool = False, json_: AsJson = False, config: Config = None) -> None:
    """Delete snapshots that are merged, old, and in two backups (expire_snapshots_after_s)."""
    from recall_daemon.tables import print_fields

    if dry_run:
        answer = _ask(config, lambda hub: hub.expiry(), lambda archive: archive.expiry.plan())
    else:
        answer = _done(run_job("expire", config))
    print_answer(answer, json_, lambda console: print_fields(console, answer))


@app.command
def restore(
    *,
    to: datetime | None = None,
    hub: str | None = None,
    json_: AsJson = False,
    config: Config = None,
) -> int:
    """Make an empty data folder whole again: newest backup, log, and the snapshots since.

    Parameters
    ----------
    to
        Go back to a time: nothing later is restored, but what was forgotten stays forgotten.
    hub
        The hub's id, where the bucket has several.
    """
    from recall_daemon.tables import print_fields

    moment = to.replace(tzinfo=to.tzinfo or UTC) if to else None
    settings = load_settings(config)
    _prepare(settings, moment, hub)
    answer = asyncio.run(_merge_since(settings))
    print_answer(answer, json_, lambda console: print_fields(console, answer))
    return NOT_NOW if answer["pending"] else 0


def _prepare(settings: HubSettings, to: datetime | None, hub: str | None) -> None:
    """Put the store in its place, unless an earlier run has, and was ended after that."""
    from recall_daemon.app import open_archive_bucket
    from recall_daemon.backup import restore
    from recall_daemon.lock import FolderLock
    from recall_daemon.store.store import FILE_NAME

    lock = FolderLock(settings.data_dir)
    bucket = open_archive_bucket(settings)
    try:
        if not (settings.data_dir / FILE_NAME).exists():
            restore.prepare(
                bucket,
                settings.data_dir,
                hub_id=restore.choose_hub(bucket, hub),
                to=to,
                memory_bytes=settings.store_memory_bytes,
            )
    finally:
        bucket.close()
        lock.release()


async def _merge_since(settings: HubSettings) -> Json:
    """Merge what the bucket has and the restored store has not."""
    from recall_daemon.app import open_hub
    from recall_daemon.backup import restore
    from recall_daemon.core import open_core
    from recall_daemon.loop import until_done

    async def no_index() -> int:
        return 0

    with open_core(settings) as core:
        prepared = restore.unfinished(core.store)
        if prepared is None:
            raise RestoreRefused(
                f"{settings.data_dir} is not empty",
                hint="restore into a new data folder, or move this one away",
            )
        async with open_hub(core, bucket=_bucket_at(settings, prepared)) as hub:
            report = await until_done(hub.poll, no_index, sleep=asyncio.sleep)
            with closing(_cold_bucket(settings)) as cold:
                return await asyncio.to_thread(restore.finish, core.store, cold, prepared, report)


def _cold_bucket(settings: HubSettings) -> Bucket:
    from recall_wire.buckets import open_bucket

    url = settings.cold_bucket_url or settings.bucket_url
    assert url is not None, "prepare has read from it"
    return open_bucket(url, settings.s3_options())


def _bucket_at(settings: HubSettings, prepared: Prepared) -> BucketAtMoment | None:
    from recall_daemon.backup.moment import BucketAtMoment
    from recall_wire.buckets import open_async_bucket

    if prepared.moment is None:
        return None
    assert settings.bucket_url is not None, "prepare has read from it"
    bucket = open_async_bucket(settings.bucket_url, settings.s3_options())
    return BucketAtMoment(bucket, prepared.moment)


def _done(run: Json) -> Json:
    """Raises `JobFailed` where a job did not get through."""
    if run["state"] != "done":
        raise JobFailed(f"{run['kind']} failed: {run['detail']}")
    return run


def _ask(
    config: Path | None, remote: Callable[[RemoteHub], Json], here: Callable[[Archive], Json]
) -> Json:
    """The daemon's answer where one runs, else that of the store itself."""
    from recall_daemon.app import open_archive_bucket
    from recall_daemon.backup.archive import make_archive
    from recall_daemon.core import open_core
    from recall_daemon.remote import find_hub

    settings = load_settings(config)
    hub = find_hub(settings.data_dir)
    if hub is not None:
        return remote(hub)
    with open_core(settings) as core:
        bucket = open_archive_bucket(settings)
        try:
            return here(make_archive(settings, core.store, bucket, now=core.now))
        finally:
            bucket.close()
