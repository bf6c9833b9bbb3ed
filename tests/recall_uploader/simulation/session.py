"""One run of the instance, in a process of its own that may be killed at any step."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from faulty_bucket import FaultyBucket
from hub import Hub
from hub_line import HubLine
from plan import MACHINE, SYSTEM, Plan
from shared import Shared
from steps import KILLED, Kill, Steps
from weather import Weather

from recall_uploader.app import Instance
from recall_uploader.errors import DeletesUnconfirmed, HubRefused
from recall_uploader.extract import Request
from recall_uploader.forget import forget
from recall_uploader.methods.hub import HubClient
from recall_uploader.result import UploadResult
from recall_uploader.retry import Retry
from recall_uploader.settings import UploaderSettings
from recall_uploader.upload import upload
from recall_wire.buckets.folder import FolderBucket
from recall_wire.errors import BucketRefused, TransientError

HUNG_S = 60.0
# What a run may end with in bad weather. Anything else is a defect.
_EXPECTED = (TransientError, BucketRefused, HubRefused, DeletesUnconfirmed)


@dataclass(frozen=True, slots=True)
class Order:
    """What one run is told to do, and what befalls it. `forgets` empty: an upload."""

    number: int
    forgets: tuple[str, ...] = ()
    confirm_deletes: bool = True
    kill: Kill | None = None
    bucket_weather: Weather = field(default_factory=Weather.fair)
    hub_weather: Weather = field(default_factory=Weather.fair)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended: killed, with an expected error, or with a result."""

    killed: bool = False
    error: str = ""
    status: str = ""
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.killed:
            return "killed"
        return " | ".join([self.error or self.status, *self.warnings])


@dataclass(frozen=True, slots=True)
class Place:
    """Where a world's things lie."""

    folder: Path
    plan: Plan
    shared: Shared
    hub: Hub

    @property
    def source(self) -> Path:
        return self.folder / "notes.jsonl"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def bucket(self) -> FolderBucket:
        return FolderBucket(self.folder / "bucket")


def run(place: Place, order: Order) -> Outcome:
    """In a forked child. Raises AssertionError with the traceback of what must not happen."""
    said = in_child(lambda: _do(place, order))
    if said is None:
        return Outcome(killed=True)
    assert "traceback" not in said, said["traceback"]
    return Outcome(**{**said, "warnings": tuple(said["warnings"])})


def in_child(
    work: Callable[[], dict[str, Any]], *, hung_s: float = HUNG_S
) -> dict[str, Any] | None:
    """What `work` returned in a forked process; None where it was killed."""
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reader)
        _answer(writer, work)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answers = bool(select.select([pipe], [], [], hung_s)[0])
        if not answers:
            os.kill(process, signal.SIGKILL)
        data = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    assert answers, f"it hung for {hung_s:.0f} s"
    if code == KILLED:
        return None
    assert code == 0, f"it ended with {code}"
    return dict(json.loads(data))


def _answer(writer: int, work: Callable[[], dict[str, Any]]) -> None:
    try:
        answer = work()
    except BaseException:
        answer = {"traceback": traceback.format_exc()}
    with os.fdopen(writer, "wb") as pipe:
        pipe.write(json.dumps(answer).encode())
    os._exit(0)


def _do(place: Place, order: Order) -> dict[str, Any]:
    random.seed(f"{place.plan.seed} {order.number}")
    steps = Steps(order.kill, place.shared)
    instance = _instance(place, order, steps)
    steps.install()
    try:
        result = _command(instance, place, order)
    except _EXPECTED as error:
        return {"error": f"{type(error).__name__}: {error}", "warnings": ()}
    return {"status": result.status, "warnings": result.warnings}


def _command(instance: Instance, place: Place, order: Order) -> UploadResult:
    if order.forgets:
        return forget(instance, order.forgets)
    return upload(instance, Request(place.source, confirm_deletes=order.confirm_deletes))


def _instance(place: Place, order: Order, steps: Steps) -> Instance:
    plan, shared = place.plan, place.shared
    settings = UploaderSettings(
        system_id=SYSTEM,
        state_dir=place.state,
        hub_url="http://hub" if plan.pushes else None,
        deletes=plan.deletes,
        snapshot_max_rows=plan.snapshot_max_rows,
        parts_in_flight=plan.parts_in_flight,
        outbox_max_age_days=plan.outbox_max_age_days,
        upload_timeout_s=plan.upload_timeout_s,
        lock_wait_s=0,
        redact=False,
    )
    small = {"part_bytes": plan.part_bytes, "outbox_max_bytes": plan.outbox_max_bytes}
    read_timeout_s = min(60.0, plan.upload_timeout_s / 4)
    bucket = FaultyBucket(place.bucket(), order.bucket_weather, steps, shared, read_timeout_s)
    line = HubLine(place.hub, order.hub_weather, steps, shared)
    return Instance(
        settings=settings.model_copy(update=small),
        machine=MACHINE,
        connect=lambda: bucket,
        retry=Retry(retries=plan.retries, sleep=shared.sleep),
        connect_hub=(lambda: cast(HubClient, line)) if plan.pushes else None,
        clock=shared.now,
        monotonic=shared.monotonic,
        sleep=shared.sleep,
    )
