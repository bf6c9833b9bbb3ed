"""`recall upload`: lock, recover, extract, deliver."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

from recall_uploader.acks import learn_ack
from recall_uploader.allowance import reading_s
from recall_uploader.app import Instance
from recall_uploader.deadline import Deadline, OutOfTime
from recall_uploader.deliver import deliver
from recall_uploader.errors import OutboxFull
from recall_uploader.extract import (
    Extracted,
    Ground,
    OpenSource,
    Request,
    extract_raw,
    extract_rows,
    opened,
    raw_digest,
    raw_files,
    scan,
)
from recall_uploader.identity import check_machine, new_identity
from recall_uploader.machine import default_system_id
from recall_uploader.recover import recover
from recall_uploader.redact.raw import redact_database
from recall_uploader.redact.record import RedactedRecord
from recall_uploader.result import UploadResult
from recall_uploader.run import Run, open_run, read_state
from recall_uploader.state import Committed, State
from recall_uploader.state_file import STATE_FILE
from recall_wire.errors import RecallError, TransientError


def upload(instance: Instance, *requests: Request) -> UploadResult:
    """Send what is new of the sources, and all that still waits in the outbox.

    Idempotent: with nothing new and nothing waiting, no object is written. Interrupted at any
    point, the next run goes on where this one ended. A source that cannot be read holds up
    neither the others nor what waits: the instance is told their result, and its error is raised.
    """
    with open_run(instance, _reading_s(requests)) as run:
        run.warnings += recover(run.spool)
        learn_ack(run)
        extracted, failures = _extract_all(run, requests)
        if failures:
            # What the state could not be told of is learned first: delivered, its number must
            # never be allotted again.
            with suppress(TransientError):
                run.warnings += recover(run.spool)
                instance.tell(deliver(run, warnings=extracted.warnings))
            raise failures[0]
        return deliver(run, skipped=extracted.skipped, warnings=extracted.warnings)


def plan(instance: Instance, *requests: Request) -> UploadResult:
    """`--dry-run`: what `upload` would send of the sources. Writes nothing: no state, no outbox,
    no object; a source's copy lies in a temporary folder."""
    limit_s = instance.settings.upload_timeout_s + _reading_s(requests)
    deadline = Deadline.after(limit_s, instance.monotonic)
    extracted = Extracted()
    with (
        instance.guard(limit_s),
        tempfile.TemporaryDirectory(prefix="recall-dry-run-") as folder,
        closing(_state_to_read(instance)) as state,
    ):
        for number, request in enumerate(requests):
            own = Path(folder, str(number))
            own.mkdir()
            extracted += _plan(request, Ground.of(instance.settings, own, deadline), state)
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
            redacted=extracted.redacted,
            warnings=extracted.warnings,
        )


def _reading_s(requests: Sequence[Request]) -> float:
    return sum(reading_s(request.settings.path) for request in requests)


def _extract_all(run: Run, requests: Sequence[Request]) -> tuple[Extracted, list[RecallError]]:
    extracted, failures = Extracted(), list[RecallError]()
    try:
        for request in requests:
            try:
                extracted += _extract(run, request)
            except (OutboxFull, OutOfTime):
                raise
            except RecallError as error:
                failures.append(error)
        _forget_again(run)
    except (OutboxFull, OutOfTime) as error:
        run.warnings.append(str(error))
    run.warnings += [str(error) for error in failures[1:]]
    return extracted, failures


def _forget_again(run: Run) -> None:
    """Under a new identity, what was forgotten under the old one is said once more."""
    for _ in run.spool.forget(run.state.to_forget(())):
        pass


def _extract(run: Run, request: Request) -> Extracted:
    """All that is new of one source. A full outbox is sent on the way, to make room."""
    while True:
        try:
            return _extract_once(run, request)
        except OutboxFull:
            run.warnings += deliver(run).warnings
            if run.outbox.pending():
                raise
            # What `full` means is in the state by now: the rows that are left.
            request = replace(request, full=False)


def _extract_once(run: Run, request: Request) -> Extracted:
    ground = Ground.of(run.instance.settings, run.folder, run.patience.deadline)
    with opened(request, ground, run.state) as source:
        if not request.raw:
            return extract_rows(source, request, run.spool)
        origin_checked = source
    # The reader is closed before its file is moved into the outbox.
    return extract_raw(origin_checked, run.spool)


def _plan(request: Request, ground: Ground, state: State) -> Extracted:
    with opened(request, ground, state) as source:
        if not request.raw:
            return _plan_rows(source, request, state)
        origin_checked = source
    return _plan_raw(origin_checked, state)


def _plan_rows(source: OpenSource, request: Request, state: State) -> Extracted:
    diff, found = scan(source, request, state)
    redactor = source.ground.redactor
    warnings = source.warnings()
    redacted = 0
    if redactor is not None and found.changed:
        redactor.counts.clear()
        rows = (row for row in diff.changed(source.rows()) if isinstance(row, RedactedRecord))
        redacted = sum(row.redacted for row in rows)
        warnings += _kinds(redactor.counts)
    rows_sent = found.changed + found.gone
    return Extracted(rows_sent, found.gone, 0, source.records.skipped, redacted, warnings)


def _plan_raw(source: OpenSource, state: State) -> Extracted:
    files = raw_files(source.opened)
    if state.source(source.origin.key).raw_sha256 == raw_digest(files, source.ground):
        return Extracted()
    redactor, folder = source.ground.redactor, source.ground.folder
    if redactor is None:
        return Extracted(bytes=sum(path.stat().st_size for path in files))
    clean = folder / "redacted.duckdb"
    redacted = redact_database(files[0], clean, redactor, folder)
    warnings = _kinds(redactor.counts)
    return Extracted(bytes=clean.stat().st_size, redacted=redacted, warnings=warnings)


def _kinds(counts: dict[str, int]) -> tuple[str, ...]:
    """In all that was read, so that a rule that finds too much is noticed."""
    if not counts:
        return ()
    said = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    return (f"secrets found in what was read: {said}",)


def _state_to_read(instance: Instance) -> State:
    settings = instance.settings
    state, _ = read_state(instance.folder / STATE_FILE, read_only=True)
    if state is not None:
        check_machine(state, instance.machine, settings.system_id)
        return state
    system_id = settings.system_id or default_system_id(instance.machine)
    return State.create(None, new_identity(system_id, instance.machine), Committed())
