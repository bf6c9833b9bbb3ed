"""`recall upload`: lock, recover, extract, deliver."""

from __future__ import annotations

import tempfile
from contextlib import closing, suppress
from pathlib import Path

from recall_uploader.app import Instance
from recall_uploader.deliver import deliver
from recall_uploader.extract import (
    Extracted,
    OpenSource,
    Request,
    extract_raw,
    extract_rows,
    opened,
    raw_files,
    raw_is_new,
    scan,
)
from recall_uploader.identity import check_machine, new_identity
from recall_uploader.machine import default_system_id
from recall_uploader.recover import recover
from recall_uploader.result import UploadResult
from recall_uploader.run import Run, open_run, read_state
from recall_uploader.state import STATE_FILE, Committed, State
from recall_wire.errors import RecallError, TransientError


def upload(instance: Instance, request: Request) -> UploadResult:
    """Send what is new of a source, and all that still waits in the outbox.

    Idempotent: with nothing new and nothing waiting, no object is written. Interrupted at any
    point, the next run goes on where this one ended.
    """
    with open_run(instance) as run:
        run.warnings += recover(run.spool)
        try:
            extracted = _extract(run, request)
            _forget_again(run)
        except RecallError:
            # A bad source must not hold back what waits. What the state could not be told of is
            # learned first: delivered, its number must never be allotted again.
            with suppress(TransientError):
                run.warnings += recover(run.spool)
                deliver(run)
            raise
        return deliver(run, skipped=extracted.skipped, warnings=extracted.warnings)


def plan(instance: Instance, request: Request) -> UploadResult:
    """`--dry-run`: what `upload` would send of the source. Writes nothing: no state, no outbox, no
    object; the source's copy lies in a temporary folder."""
    with (
        tempfile.TemporaryDirectory(prefix="recall-dry-run-") as folder,
        closing(_state_to_read(instance)) as state,
        opened(request, instance.settings, Path(folder)) as source,
    ):
        extracted = _plan_raw(source, state) if request.raw else _plan_rows(source, request, state)
        sends = bool(extracted.rows or extracted.bytes)
        return UploadResult(
            status="planned" if sends else "unchanged",
            method="none",
            system_id=state.identity.system_id,
            seq=state.next_seq if sends else None,
            rows=extracted.rows,
            deletes=extracted.deletes,
            bytes=extracted.bytes,
            skipped=extracted.skipped,
            warnings=extracted.warnings,
        )


def _forget_again(run: Run) -> None:
    """Under a new identity, what was forgotten under the old one is said once more."""
    for _ in run.spool.forget(run.state.to_forget(())):
        pass


def _extract(run: Run, request: Request) -> Extracted:
    with opened(request, run.instance.settings, run.folder) as source:
        if not request.raw:
            return extract_rows(source, request, run.spool)
        origin_checked = source
    # The reader is closed before its file is moved into the outbox.
    return extract_raw(origin_checked, run.spool)


def _plan_rows(source: OpenSource, request: Request, state: State) -> Extracted:
    _, found = scan(source, request, state)
    rows = found.changed + found.gone
    return Extracted(rows, found.gone, 0, source.records.skipped, tuple(source.records.warnings))


def _plan_raw(source: OpenSource, state: State) -> Extracted:
    files = raw_files(source.copy)
    new = raw_is_new(files, state, source.origin.key)
    return Extracted(bytes=sum(path.stat().st_size for path in files) if new else 0)


def _state_to_read(instance: Instance) -> State:
    settings = instance.settings
    state, _ = read_state(instance.folder / STATE_FILE, read_only=True)
    if state is not None:
        check_machine(state, instance.machine, settings.system_id)
        return state
    system_id = settings.system_id or default_system_id(instance.machine)
    return State.create(None, new_identity(system_id, instance.machine), Committed())
