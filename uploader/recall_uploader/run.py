"""One run over the state folder: locked, opened, and in agreement with itself."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from recall_uploader.app import Instance
from recall_uploader.durable import make_private_folder
from recall_uploader.errors import StateBusy
from recall_uploader.identity import (
    check_machine,
    check_unclaimed,
    new_identity,
    newest_in_bucket,
)
from recall_uploader.lock import exclusive
from recall_uploader.machine import default_system_id
from recall_uploader.outbox import Outbox
from recall_uploader.ship import Progress, Shipment
from recall_uploader.spool import Spool
from recall_uploader.state import STATE_FILE, Committed, State, may_be_whole
from recall_wire.buckets import create_folder
from recall_wire.buckets.base import Bucket
from recall_wire.errors import SettingsInvalid


@dataclass(slots=True)
class Run:
    """What a command works on while it holds the state folder. `folder` is emptied by each run."""

    instance: Instance
    state: State
    outbox: Outbox
    folder: Path
    bucket: LazyBucket
    warnings: list[str] = field(default_factory=list)

    @property
    def spool(self) -> Spool:
        settings = self.instance.settings
        return Spool(
            state=self.state,
            outbox=self.outbox,
            folder=self.folder,
            clock=self.instance.clock,
            max_rows=settings.snapshot_max_rows,
            embedding=settings.embedding,
        )

    def shipment(self, progress: Progress | None) -> Shipment:
        settings = self.instance.settings
        return Shipment(
            bucket=self.bucket(),
            retry=self.instance.retry,
            part_bytes=settings.part_bytes,
            parts_in_flight=settings.parts_in_flight,
            progress=progress,
        )


@dataclass(slots=True)
class LazyBucket:
    """The bucket, opened at the first call: an unchanged run never needs it."""

    instance: Instance
    stack: ExitStack
    opened: Bucket | None = None

    def __call__(self) -> Bucket:
        if self.opened is None:
            self.opened = self.instance.connect()
            self.stack.callback(self.opened.close)
        return self.opened


@contextmanager
def locked(instance: Instance) -> Iterator[Path]:
    """Hold the state folder, which is created where it is missing."""
    folder = instance.folder
    try:
        make_private_folder(folder)
        lock = exclusive(
            folder / "lock", wait_s=instance.settings.lock_wait_s, sleep=instance.sleep
        )
        with lock:
            yield folder
    except PermissionError as error:
        raise SettingsInvalid(
            f"the state folder {folder} cannot be written",
            hint="set RECALL_STATE_DIR to a folder of yours",
        ) from error


@contextmanager
def open_run(instance: Instance) -> Iterator[Run]:
    """The run of a command. Raises `StateBusy`, `StateNewer`, `SystemClash`, and the bucket's
    errors where there is no state yet: only the bucket knows where to go on."""
    with locked(instance) as folder, ExitStack() as stack:
        bucket = LazyBucket(instance, stack)
        state, warnings = open_state(instance, bucket)
        stack.callback(state.close)
        check_machine(state, instance.machine, instance.settings.system_id)
        run = Run(instance, state, open_outbox(folder), empty_folder(folder), bucket, warnings)
        stack.callback(shutil.rmtree, run.folder, ignore_errors=True)
        yield run


def open_outbox(folder: Path) -> Outbox:
    outbox = Outbox(folder / "outbox")
    outbox.prepare()
    return outbox


def empty_folder(folder: Path) -> Path:
    """`tmp/` without what a died run left there."""
    scratch = folder / "tmp"
    shutil.rmtree(scratch, ignore_errors=True)
    make_private_folder(scratch)
    return scratch


def open_state(instance: Instance, bucket: LazyBucket) -> tuple[State, list[str]]:
    """The state as it lies there, or a new one that goes on where the bucket ends."""
    path = instance.folder / STATE_FILE
    state, warnings = read_state(path)
    if state is not None:
        return state, warnings
    system_id = instance.settings.system_id or default_system_id(instance.machine)
    identity = new_identity(system_id, instance.machine)
    if instance.settings.bucket_url is not None:
        create_folder(instance.settings.bucket_url)
    newest = newest_in_bucket(bucket(), system_id, instance.retry)
    check_unclaimed(newest, instance.machine, system_id)
    set_aside(path)
    if newest.seq:
        warnings.append(
            f"there was no state of system {system_id}; it goes on after snapshot {newest.seq}, "
            "and everything is sent once more"
        )
    return State.create(path, identity, newest.committed if newest.seq else Committed()), warnings


def read_state(path: Path, *, read_only: bool = False) -> tuple[State | None, list[str]]:
    """None where there is no state, or only a damaged one. Raises `StateNewer`."""
    if not path.exists() or not path.stat().st_size:
        return None, []
    try:
        return State.open(path, read_only=read_only), []
    except sqlite3.DatabaseError as error:
        if may_be_whole(error):
            raise StateBusy(
                f"{path} cannot be opened: {error}", hint="see to the disk and its permissions"
            ) from error
        return None, [f"{path} was damaged ({error}) and lies beside it now, as *.damaged"]


def set_aside(path: Path) -> None:
    """Make room for a new state file; what was there is kept under another name."""
    path.with_name(f"{path.name}-journal").unlink(missing_ok=True)
    if path.exists() and path.stat().st_size:
        count = 1
        while (target := path.with_name(f"{path.name}.damaged-{count}")).exists():
            count += 1
        path.rename(target)
    path.unlink(missing_ok=True)
