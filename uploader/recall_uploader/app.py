"""The parts of an instance, built once from the settings and passed in."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from recall_uploader.machine import machine_hash
from recall_uploader.retry import Retry
from recall_uploader.settings import UploaderSettings
from recall_uploader.ship import Progress
from recall_wire.buckets import open_bucket
from recall_wire.buckets.base import Bucket
from recall_wire.errors import SettingsInvalid
from recall_wire.manifest import now_utc

ShowProgress = Callable[[int], AbstractContextManager[Progress | None]]


def no_progress(total_bytes: int) -> AbstractContextManager[Progress | None]:
    del total_bytes
    return nullcontext()


@dataclass(frozen=True, slots=True)
class Instance:
    """What the commands work with. `connect` opens the bucket, only when a run needs it."""

    settings: UploaderSettings
    machine: str
    connect: Callable[[], Bucket]
    retry: Retry
    clock: Callable[[], datetime] = now_utc
    sleep: Callable[[float], None] = time.sleep
    show_progress: ShowProgress = no_progress

    @property
    def folder(self) -> Path:
        return self.settings.state_folder


def build(settings: UploaderSettings, *, show_progress: ShowProgress = no_progress) -> Instance:
    return Instance(
        settings=settings,
        machine=machine_hash(settings.machine_id),
        connect=lambda: _connect(settings),
        retry=Retry(retries=settings.max_retries),
        show_progress=show_progress,
    )


def _connect(settings: UploaderSettings) -> Bucket:
    if settings.bucket_url is None:
        raise SettingsInvalid(
            "no bucket is set",
            hint="set RECALL_BUCKET_URL, or bucket_url in the settings file, to "
            "s3://bucket[/prefix] or file:///folder",
        )
    return open_bucket(settings.bucket_url, settings.s3_options())
