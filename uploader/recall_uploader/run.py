"""One run over the state folder: locked, opened, and in agreement with itself."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from recall_uploader.app import Instance
from recall_uploader.deadline import Deadline
from recall_uploader.durable import make_private_folder
from recall_uploader.errors import StateBusy
from recall_uploader.identity import (
    check_machine,
    check_unclaimed,
    new_identity,
)
from recall_uploader.lock import exclusive
from recall_uploader.machine import default_system_id
from recall_uploader.methods.base import Patience, SyncMethod
from recall_uploader.methods.breaker import Breaker
from recall_uploader.methods.choose import find_start, open_methods, uses_bucket
from recall_uploader.outbox import Outbox
from recall_uploader.result import Method
from recall_uploader.spool import Spool
from recall_uploader.state import State
from recall_uploader.state_file import STATE_FILE, may_be_whole
from recall_wire.buckets import create_folder
from recall_wire.errors import SettingsInvalid
from recall_wire.manifest import Manifest


@dataclass(slots=True)
class Run:
    """What a command works on while it holds the state folder. `folder` is emptied by each run."""

    instance: Instance
    state: State
    outbox: Outbox
    folder: Path
    methods: Sequence[SyncMethod]
    patience: Patience
    warnings: list[str] = field(default_factory=list)
    delivered: list[Manifest] = field(default_factory=list)
    delivered_by: Method = "none"

    @property
    def spool(self) -> Spool:
        settings = self.instance.settings
        return Spool(
            state=self.state,
            outbox=self.outbox,
            folder=self.folder,
            clock=self.instance.clock,
            max_rows=settings.snapshot_max_rows,
            max_outbox_bytes=settings.outbox_max_bytes,
            embedding=settings.embedding,
        )

    def breaker(self, method: SyncMethod) -> Breaker:
        return Breaker(self.state, method.path, self.instance.clock)


@contextmanager
def locked(instance: Instance) -> Iterator[Path]:
    """Hold the state folder, which is created where it is missing."""
    folder = instance.folder
    lock = exclusive(folder / "lock", wait_s=instance.settings.lock_wait_s, sleep=instance.sleep)
    with ExitStack() as stack:
        try:
            make_private_folder(folder)
            stack.enter_context(lock)
        except (PermissionError, FileExistsError, NotADirectoryError) as error:
            raise SettingsInvalid(
                f"the state folder {folder} cannot be written",
                hint="set RECALL_STATE_DIR to a folder of yours",
            ) from error
        yield folder


@contextmanager
def open_run(instance: Instance, reading_s: float = 0.0) -> Iterator[Run]:
    """The run of a command, which may take `upload_timeout_s` and `reading_s` more.

    Raises `StateBusy`, `StateNewer`, `SystemClash`, and, where there is no state yet, the bucket's
    or hub's errors: only they know where to go on.
    """
    with (
        instance.guard(instance.settings.upload_timeout_s + reading_s),
        locked(instance) as folder,
        ExitStack() as stack,
    ):
        patience = patience_of(instance, reading_s)
        methods = open_methods(instance, stack)
        state, warnings = open_state(instance, methods, patience)
        stack.callback(state.close)
        check_machine(state, instance.machine, instance.settings.system_id)
        if state.final_seq and uses_bucket(methods):
            state.begin_bucket()
            warnings.append("what only the hub has goes into the bucket now, as rows sent again")
        outbox, scratch = open_outbox(folder), empty_folder(folder)
        stack.callback(shutil.rmtree, scratch, ignore_errors=True)
        yield Run(instance, state, outbox, scratch, methods, patience, warnings)


def patience_of(instance: Instance, reading_s: float = 0.0) -> Patience:
    """The whole run's: it begins now."""
    limit_s = instance.settings.upload_timeout_s + reading_s
    deadline = Deadline.after(limit_s, instance.monotonic)
    return Patience(instance.retry, deadline).until(deadline)


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


def open_state(
    instance: Instance, methods: Sequence[SyncMethod], patience: Patience
) -> tuple[State, list[str]]:
    """The state as it lies there, or a new one that goes on where the bucket, or the hub, ends."""
    path = instance.folder / STATE_FILE
    state, warnings = read_state(path)
    if state is not None:
        return state, warnings
    system_id = instance.settings.system_id or default_system_id(instance.machine)
    identity = new_identity(system_id, instance.machine)
    if instance.settings.bucket_url is not None:
        create_folder(instance.settings.bucket_url)
    start = find_start(methods, system_id, patience)
    newest = start.newest
    check_unclaimed(newest, instance.machine, system_id)
    set_aside(path)
    warnings += start.warnings
    if newest.seq:
        warnings.append(
            f"there was no state of system {system_id}; it goes on after snapshot {newest.seq}, "
            "and everything is sent once more"
        )
    return State.create(path, identity, start.committed, newest.seq + 1), warnings


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
