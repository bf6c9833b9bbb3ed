"""`recall init`: make the state folder, or take a system over."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from recall_uploader.app import Instance
from recall_uploader.identity import new_identity, newest_told
from recall_uploader.machine import default_system_id
from recall_uploader.methods.choose import PATH_ERRORS, find_start, open_methods
from recall_uploader.methods.cloud import CloudMethod
from recall_uploader.recover import set_all_aside
from recall_uploader.run import (
    Run,
    empty_folder,
    locked,
    open_outbox,
    open_run,
    patience_of,
    read_state,
    set_aside,
)
from recall_uploader.state import State
from recall_uploader.state_file import STATE_FILE


@dataclass(frozen=True, slots=True)
class InitResult:
    """Who this instance is now; `set_aside` counts snapshots moved to the outbox's `failed/`."""

    system_id: str
    instance_id: str
    next_seq: int
    set_aside: int = 0
    warnings: tuple[str, ...] = ()


def init(instance: Instance) -> InitResult:
    """Make the state folder where there is none. Idempotent. Raises `SystemClash` where it, or
    the system in the bucket, is another machine's, and where the bucket tells another story than
    the folder: a copy of it, or one restored from a backup, would not upload either."""
    with open_run(instance) as run:
        warnings = [*run.warnings, *_compare(run)]
        return _result(run.state, warnings=warnings)


def adopt(instance: Instance) -> InitResult:
    """Go on with the system from this machine, whoever wrote it before.

    Takes a new instance id, goes on after the newest snapshot in the bucket, and sends
    everything once more. What waited in the outbox goes to `failed/`: its rows are sent again,
    its numbers may be taken. Needs the bucket; without it, nothing changes.
    """
    with locked(instance) as folder, ExitStack() as stack:
        methods, patience = open_methods(instance, stack), patience_of(instance)
        state, warnings = read_state(folder / STATE_FILE)
        system_id = instance.settings.system_id or (
            state.identity.system_id if state else default_system_id(instance.machine)
        )
        identity = new_identity(system_id, instance.machine)
        start = find_start(methods, system_id, patience, need_first=True)
        warnings += start.warnings
        next_seq = start.newest.seq + 1
        if state is None:
            set_aside(folder / STATE_FILE)
            state = State.create(folder / STATE_FILE, identity, start.committed, next_seq)
        stack.callback(state.close)
        scratch = empty_folder(folder)
        run = Run(instance, state, open_outbox(folder), scratch, methods, patience)
        # Before the new identity: a crash in between leaves the old one and a hole, and the
        # command is run again.
        moved = set_all_aside(run.spool)
        state.begin_anew(identity, start.committed, next_seq)
        return _result(state, set_aside=moved, warnings=warnings)


def _compare(run: Run) -> list[str]:
    """With the bucket, where it answers; the next upload compares in any case."""
    once = run.patience.once().retry
    for method in run.methods:
        if isinstance(method, CloudMethod):
            try:
                newest_told(method.bucket(), run.state, run.outbox.pending(), once)
            except PATH_ERRORS as error:
                return [f"the state was not compared with the bucket: {error}"]
    return []


def _result(state: State, *, set_aside: int = 0, warnings: list[str]) -> InitResult:
    identity = state.identity
    return InitResult(
        identity.system_id, identity.instance_id, state.next_seq, set_aside, tuple(warnings)
    )
