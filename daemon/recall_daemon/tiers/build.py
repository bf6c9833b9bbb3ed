"""Builds the tiers from the settings."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from recall_daemon.counted import CountedBucket
from recall_daemon.settings import HubSettings
from recall_daemon.store import ledger
from recall_daemon.store.store import Store
from recall_daemon.tiers.ageing import Ageing, Rules
from recall_daemon.tiers.cache import GroupCache
from recall_daemon.tiers.cold_store import ColdStore
from recall_daemon.tiers.compaction import Compaction
from recall_daemon.tiers.fetch import ColdTexts
from recall_daemon.tiers.groups import Groups
from recall_daemon.tiers.sweep import Sweep
from recall_daemon.tiers.tiers import Tiers
from recall_wire.buckets import open_bucket
from recall_wire.buckets.base import Bucket


def build_tiers(
    settings: HubSettings,
    store: Store,
    *,
    now: Callable[[], datetime],
    space_id: Callable[[], str | None],
    bucket: Bucket | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Tiers:
    """The tiers over the bucket that the settings name, or the one handed in.

    The bucket is opened at the first need: a command that fetches nothing loads no client.
    """
    with store.read() as connection:
        hub_id = ledger.fact(connection, "hub_id") or ""

    def opened() -> Bucket | None:
        url = settings.cold_bucket_url or settings.bucket_url
        opening = bucket or (open_bucket(url, settings.s3_options()) if url else None)
        return CountedBucket(opening) if opening else None

    cold = ColdStore(
        store, opened, folder=settings.data_dir / "spool-cold", hub_id=hub_id, now=now, sleep=sleep
    )
    cache = GroupCache(settings.data_dir / "cache" / "cold", limit_bytes=settings.cold_cache_bytes)
    groups = Groups(store, cold, cache, timeout_s=settings.cold_fetch_timeout_s)
    rules = Rules(
        warm_after=timedelta(seconds=settings.warm_after_s),
        cold_after=timedelta(seconds=settings.cold_after_s),
        keep_importance=settings.keep_importance,
    )
    return Tiers(
        store,
        cold,
        groups,
        texts=ColdTexts(store, groups),
        ageing=Ageing(store, cold, rules, now=now, space_id=space_id),
        compaction=Compaction(store, cold, now=now),
        sweep=Sweep(store, cold, now=now),
        now=now,
        clock=time.perf_counter,
    )
