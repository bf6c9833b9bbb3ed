"""The parts of an instance, built once from the settings and passed in."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from recall_uploader.machine import machine_hash
from recall_uploader.methods.base import Progress, ShowProgress
from recall_uploader.methods.hub import HubClient
from recall_uploader.result import UploadResult
from recall_uploader.retry import Retry
from recall_uploader.settings import UploaderSettings
from recall_wire.buckets import open_bucket
from recall_wire.buckets.base import Bucket
from recall_wire.manifest import now_utc


def no_progress(total_bytes: int) -> AbstractContextManager[Progress | None]:
    del total_bytes
    return nullcontext()


Guard = Callable[[float], AbstractContextManager[None]]


def unguarded(limit_s: float) -> AbstractContextManager[None]:
    del limit_s
    return nullcontext()


def ignore(result: UploadResult) -> None:
    del result


@dataclass(frozen=True, slots=True)
class Instance:
    """What the commands work with. `connect` opens the bucket and `connect_hub` the hub, only
    when a run needs them; None where the settings name none. `guard` is entered for each run with
    the seconds it may take, for what no deadline can interrupt; `tell` is given what was delivered
    by a run that raises."""

    settings: UploaderSettings
    machine: str
    connect: Callable[[], Bucket] | None
    retry: Retry
    connect_hub: Callable[[], HubClient] | None = None
    clock: Callable[[], datetime] = now_utc
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    show_progress: ShowProgress = no_progress
    guard: Guard = unguarded
    tell: Callable[[UploadResult], None] = ignore

    @property
    def folder(self) -> Path:
        return self.settings.state_folder


def build(
    settings: UploaderSettings,
    *,
    show_progress: ShowProgress = no_progress,
    guard: Guard = unguarded,
    tell: Callable[[UploadResult], None] = ignore,
) -> Instance:
    bucket_url, hub_url, token = settings.bucket_url, settings.hub_url, settings.hub_token
    secret = token.get_secret_value() if token else None
    return Instance(
        settings=settings,
        machine=machine_hash(settings.machine_id),
        connect=(lambda: open_bucket(bucket_url, settings.s3_options())) if bucket_url else None,
        retry=Retry(retries=settings.max_retries, base_s=settings.retry_backoff_s),
        connect_hub=(lambda: HubClient(hub_url, secret)) if hub_url else None,
        show_progress=show_progress,
        guard=guard,
        tell=tell,
    )
