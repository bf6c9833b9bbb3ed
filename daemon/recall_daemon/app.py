"""Builds the hub's parts once and hands them to each other; nothing here does any work itself.

`core` has those that need no bucket.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta

from recall_daemon.agents.far import FarRecords
from recall_daemon.agents.shared import Shared
from recall_daemon.agents.upkeep import jobs as upkeep
from recall_daemon.backlog import Backlog
from recall_daemon.backup.archive import Archive, jobs_of, make_archive
from recall_daemon.backup.owner import take_over
from recall_daemon.backup.promptly import PromptShipping
from recall_daemon.core import Core
from recall_daemon.counted import CountedAsyncBucket, CountedBucket
from recall_daemon.ingest.agenda import Agenda, Intervals
from recall_daemon.ingest.gaps import GapAsker
from recall_daemon.ingest.pipeline import Limits, Pipeline, PollReport, Readers
from recall_daemon.ingest.pushed import Pushes
from recall_daemon.ingest.spool import Spool
from recall_daemon.ingest.staging import Staging
from recall_daemon.ingest.validate import Reader
from recall_daemon.jobs import Job, Jobs, Progress
from recall_daemon.lags import Lags
from recall_daemon.memory.erase import ColdFiles
from recall_daemon.memory.forget import Forgetting
from recall_daemon.memory.posts import Posts
from recall_daemon.memory.purge import LocalCopies
from recall_daemon.model_change import ModelChange
from recall_daemon.models import export_dropper
from recall_daemon.pull.embedding import Embedding
from recall_daemon.pull.instances import Instances
from recall_daemon.pull.job import pull_job
from recall_daemon.pull.sync import Pull
from recall_daemon.rebuild import rebuild_job
from recall_daemon.serve import memories as memory_routes
from recall_daemon.serve.subscribers import Subscribers
from recall_daemon.settings import HubSettings
from recall_daemon.store import ledger
from recall_daemon.tiers.job import age_job
from recall_wire.buckets import create_folder, open_async_bucket, open_bucket
from recall_wire.buckets.base import AsyncBucket, Bucket
from recall_wire.errors import SettingsInvalid


@dataclass(frozen=True)
class Hub:
    """A core with everything that brings memories in: bucket, pipeline, pushes and backlog."""

    core: Core
    bucket: AsyncBucket
    pipeline: Pipeline
    pushes: Pushes
    posts: Posts
    pull: Pull
    backlog: Backlog
    model_change: ModelChange
    jobs: Jobs
    archive: Archive
    forgetting: Forgetting
    lags: Lags
    subscribers: Subscribers
    shared: Shared

    def memory_parts(self) -> memory_routes.Parts:
        """What the routes for single memories need."""
        return memory_routes.Parts(
            self.posts,
            self.core.memories,
            self.forgetting,
            self.core.settings.push_sources,
            self.core.now,
        )

    async def poll(self, patience_s: float | None = None) -> PollReport:
        return await self.pipeline.poll(patience_s)

    async def poll_as_owner(self, patience_s: float | None = None) -> PollReport:
        """A poll of the hub that works under this id, which a restored one becomes by it."""
        await asyncio.to_thread(take_over, self.archive.bucket, self.core.store)
        return await self.poll(patience_s)

    async def finish(self) -> int:
        """Index and embed everything there is; returns how many texts still wait."""
        core = self.core
        await asyncio.to_thread(core.follow)
        await asyncio.to_thread(core.fetch_words)
        embedder = await asyncio.to_thread(core.embedder.get)
        if embedder is not None:
            await asyncio.to_thread(self.backlog.drain, embedder)
            await asyncio.to_thread(core.follow)
        if await asyncio.to_thread(self.model_change.is_needed):
            await asyncio.to_thread(self.model_change.run, Progress())
        return await asyncio.to_thread(self.backlog.size, core.embedder.space_id() or "")


@asynccontextmanager
async def open_hub(
    core: Core,
    *,
    on_merged: Callable[[], None] = lambda: None,
    bucket: AsyncBucket | None = None,
    readers: Readers | None = None,
) -> AsyncIterator[Hub]:
    """Connect a core to its bucket. Raises `SettingsInvalid` where none is named.

    `readers` that are handed in are the caller's to close.
    """
    settings = core.settings
    if settings.bucket_url is None:
        raise SettingsInvalid("no bucket is named", hint="set RECALLD_BUCKET_URL or bucket_url")
    with core.store.read() as connection:
        if not ledger.systems(connection):
            create_folder(settings.bucket_url)
    bucket = CountedAsyncBucket(
        bucket or open_async_bucket(settings.bucket_url, settings.s3_options())
    )
    reading = readers or open_readers(settings)
    hub = _hub(core, bucket, reading, on_merged)
    try:
        yield hub
    finally:
        hub.pull.stop()
        hub.jobs.close()
        await hub.pipeline.close()
        if readers is None:
            await reading.close()
        await bucket.close()
        hub.archive.close()


# A snapshot of the contract is small: one that takes longer is meant to.
CONTRACT_READ_S = 30.0


def open_readers(settings: HubSettings) -> Readers:
    """The child processes that read files; none is started before it is needed."""
    return Readers(
        contract=_reader(settings, settings.readers, CONTRACT_READ_S),
        whole=_reader(settings, 1, settings.reader_timeout_s),
    )


def _reader(settings: HubSettings, workers: int, timeout_s: float) -> Reader:
    return Reader(
        workers=workers,
        memory_bytes=settings.reader_memory_bytes,
        timeout_s=min(timeout_s, settings.reader_timeout_s),
        max_rows=settings.max_snapshot_rows,
        max_bytes=settings.max_snapshot_bytes,
    )


def _hub(core: Core, bucket: AsyncBucket, readers: Readers, on_merged: Callable[[], None]) -> Hub:
    settings = core.settings
    agenda = Agenda(
        bucket,
        core.store,
        intervals=Intervals(
            bare=timedelta(seconds=settings.bare_interval_s),
            reconcile=timedelta(seconds=settings.reconcile_interval_s),
        ),
        gap_asker=GapAsker(
            first_delay=timedelta(seconds=settings.poll_interval_s),
            give_up_after=timedelta(seconds=settings.gap_give_up_s),
        ),
        now=core.now,
    )
    lags = Lags(on_merged)
    pipeline = Pipeline(
        bucket=bucket,
        store=core.store,
        readers=readers,
        agenda=agenda,
        spool=Spool(settings.data_dir / "spool"),
        disk=core.disk,
        limits=Limits(
            max_snapshot_bytes=settings.max_snapshot_bytes,
            concurrency=settings.concurrency,
            time_zone=settings.time_zone,
            incomplete_max_age=timedelta(seconds=settings.incomplete_max_age_s),
        ),
        now=core.now,
        space_id=core.embedder.space_id,
        on_merged=lags.merged,
        agents=core.agents,
    )
    archive = make_archive(settings, core.store, open_archive_bucket(settings), now=core.now)
    pushes = Pushes(
        store=core.store,
        staging=Staging(settings.data_dir / "pushed"),
        merge=pipeline.receive,
        ship_log=PromptShipping(archive.log),
        check_disk=core.disk.check,
        max_bytes=settings.max_snapshot_bytes,
        now=core.now,
    )
    backlog = Backlog(core.store, on_embedded=on_merged, cold_texts=core.feed.cold_texts)
    model_change = ModelChange(
        core.store, core.embedder, backlog, core.adopt, export_dropper(settings.data_dir)
    )
    forgetting = _forgetting(core, archive, pushes.systems)
    posts = core.posts(lags.merged)
    # Who embeds wakes the one task that the index follows by.
    pull = _pull(core, posts, backlog, follow=lambda: None)
    shared = core.shared(posts, lags.merged)
    jobs = _background(core, archive, model_change, forgetting, pull)
    jobs += _upkeep(core, shared, lags.merged)
    return Hub(
        core,
        bucket,
        pipeline,
        pushes,
        posts,
        pull,
        backlog,
        model_change,
        Jobs(core.store, jobs, now=core.now),
        archive,
        forgetting,
        lags,
        Subscribers(core.store),
        shared,
    )


@contextmanager
def open_forgetting(core: Core) -> Iterator[Forgetting]:
    """To forget without a daemon. Raises `SettingsInvalid` where no bucket is named."""
    bucket = open_archive_bucket(core.settings)
    try:
        archive = make_archive(core.settings, core.store, bucket, now=core.now)
        yield _forgetting(core, archive, Staging(core.settings.data_dir / "pushed").systems)
    finally:
        bucket.close()


@contextmanager
def open_pull(core: Core) -> Iterator[Pull]:
    """To pull without a daemon, and without a bucket."""
    posts = core.posts(lambda: None)
    backlog = Backlog(core.store, on_embedded=lambda: None, cold_texts=core.feed.cold_texts)
    pull = _pull(core, posts, backlog, follow=core.follow)
    try:
        yield pull
    finally:
        pull.stop()


def _pull(core: Core, posts: Posts, backlog: Backlog, *, follow: Callable[[], object]) -> Pull:
    embedding = Embedding(
        core.store,
        backlog,
        core.embedder.get,
        space_id=core.embedder.stored_space_id,
        follow=follow,
    )
    instances = Instances.of(core.settings)
    return Pull(core.store, posts, instances, embedding=embedding, now=core.now)


def _forgetting(core: Core, archive: Archive, pushing: Callable[[], set[str]]) -> Forgetting:
    return Forgetting(
        core.store,
        archive,
        ColdFiles(core.store, core.tiers.cold, core.tiers),
        cold_texts=core.feed.cold_texts,
        copies=LocalCopies(
            follow=core.follow,
            purge_index=core.purge_index,
            clear_cache=core.tiers.texts.clear_cache,
            pushing=pushing,
        ),
        data_dir=core.settings.data_dir,
        purge_interval=timedelta(seconds=core.settings.purge_interval_s),
        now=core.now,
    )


def open_archive_bucket(settings: HubSettings) -> Bucket:
    """The bucket for log and backups: a blocking one, whose multipart upload streams."""
    if settings.bucket_url is None:
        raise SettingsInvalid("no bucket is named", hint="set RECALLD_BUCKET_URL or bucket_url")
    return CountedBucket(open_bucket(settings.bucket_url, settings.s3_options()))


def _background(
    core: Core, archive: Archive, model_change: ModelChange, forgetting: Forgetting, pull: Pull
) -> list[Job]:
    """What the hub does beside serving and polling: one line a kind."""
    settings = core.settings
    age = age_job(core.tiers, core.store, archive, settings)
    rebuild = rebuild_job(core.index, core.feed)
    pulling = pull_job(pull, interval_s=settings.pull_interval_s, limit=settings.pull_limit)
    own = [rebuild, model_change.job, age, forgetting.purge.job, pulling]
    return [*own, *jobs_of(archive, settings)]


def _upkeep(core: Core, shared: Shared, on_changed: Callable[[], None]) -> list[Job]:
    """What becomes of memories over time, and whether what is derived from them is right."""
    parts = upkeep.Parts(
        store=core.store,
        index=core.index,
        feed=core.feed,
        agents=core.agents,
        far=FarRecords(core.store, shared.naming, core.tiers.texts),
        purge=shared.deleting.purge,
        version_history=timedelta(seconds=core.settings.version_history_s),
        on_changed=on_changed,
        now=core.now,
    )
    return upkeep.upkeep_jobs(parts)
