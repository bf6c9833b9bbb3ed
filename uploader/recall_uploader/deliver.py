"""The end of every run that sends: what waits goes out, or stays and says why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from recall_uploader.aging import age_out
from recall_uploader.deadline import Deadline, OutOfTime
from recall_uploader.errors import OutboxDamaged
from recall_uploader.methods.base import Delivered, Patience, SyncMethod
from recall_uploader.methods.choose import PATH_ERRORS, each_in_time
from recall_uploader.recover import discard, recover
from recall_uploader.result import Method, Status, UploadResult, result_of
from recall_uploader.run import Run
from recall_wire.errors import RecallError, TerminalError
from recall_wire.manifest import Manifest

_STATUS: dict[Method, Status] = {"none": "unchanged", "cloud": "committed", "http": "pushed"}


def deliver(run: Run, *, skipped: int = 0, warnings: Sequence[str] = ()) -> UploadResult:
    """Send the whole outbox, by number, on the first way that works.

    What cannot be sent now stays queued, which is no error: the next run, once it has read its
    source, sends it before what it spools itself. Raises what only a person can mend
    (`TerminalError`), unless another way worked.
    """
    said = [*run.warnings, *warnings]
    run.warnings.clear()
    if not run.outbox.pending():
        return _nothing_left(run, said, skipped)
    failures: list[RecallError] = []
    for method, patience in each_in_time(run.methods, _patience(run)):
        delivered = _try(run, method, patience, said, failures)
        if delivered is not None:
            return _result(run, method, delivered, [*said, *map(str, failures)], skipped)
    return _queued(run, failures, said, skipped)


def _patience(run: Run) -> Patience:
    """What reading left over is not for sending: that has `upload_timeout_s` at most."""
    deadline = run.patience.deadline
    own = Deadline.after(run.instance.settings.upload_timeout_s, deadline.clock)
    return run.patience.until(own) if own.at < deadline.at else run.patience


def _try(
    run: Run, method: SyncMethod, patience: Patience, said: list[str], failures: list[RecallError]
) -> Delivered | None:
    """One attempt on one way, unless its breaker is open; half open, it is a single probe."""
    if patience.deadline.left_s <= 0:
        failures.append(OutOfTime())
        return None
    breaker = run.breaker(method)
    status = breaker.status
    if status == "open":
        rests = f"{method.name} failed {breaker.failures} times in a row and rests a while"
        said.append(f"{rests} (the last time: {breaker.reason})" if breaker.reason else rests)
        return None
    try:
        given = patience.once() if status == "half-open" else patience
        delivered = _send_intact(run, method, given, said)
    except OutOfTime as error:
        failures.append(error)  # what it had time for may well have worked
        return None
    except PATH_ERRORS as error:
        breaker.failed(str(error))
        failures.append(error)
        return None
    breaker.worked()
    run.delivered += delivered.manifests
    run.delivered_by = method.name
    return delivered


def _send_intact(run: Run, method: SyncMethod, patience: Patience, said: list[str]) -> Delivered:
    """A snapshot whose bytes have rotted is taken out: its rows are sent again by the next run."""
    before: tuple[Manifest, ...] = ()
    while True:
        if run.outbox.broken():
            said += recover(run.spool)
        waiting = run.outbox.pending()
        try:
            with run.instance.show_progress(method.waiting_bytes(run.outbox)) as progress:
                delivered = method.send(run.state, run.outbox, patience, progress)
            return replace(delivered, manifests=before + delivered.manifests)
        except OutboxDamaged as error:
            said.append(str(error))
            before += tuple(item.manifest for item in waiting if item.seq < error.seq)
            for pending in run.outbox.pending():
                if pending.seq == error.seq:  # else it is broken by now, and recovered next
                    discard(run.spool, pending)


def _nothing_left(run: Run, said: list[str], skipped: int) -> UploadResult:
    """All was sent before, to make room, or there was nothing to send."""
    system_id, method = run.state.identity.system_id, run.delivered_by
    status = _STATUS[method]
    return result_of(status, method, system_id, run.delivered, skipped=skipped, warnings=said)


def _result(
    run: Run, method: SyncMethod, delivered: Delivered, said: Sequence[str], skipped: int
) -> UploadResult:
    result = result_of(
        _STATUS[method.name],
        method.name,
        run.state.identity.system_id,
        run.delivered,
        skipped=skipped,
        warnings=[*said, *delivered.warnings],
    )
    waiting = run.outbox.pending()
    if not waiting:
        return result
    note = f"{len(waiting)} pushed snapshots wait in the outbox for the bucket"
    return replace(result, seq=waiting[-1].seq, warnings=(*result.warnings, note))


def _queued(
    run: Run, failures: Sequence[RecallError], said: list[str], skipped: int
) -> UploadResult:
    refused = next((error for error in failures if isinstance(error, TerminalError)), None)
    if refused is not None:
        raise refused
    said += age_out(run)
    manifests = [pending.manifest for pending in run.outbox.pending()]
    reasons = "; ".join(map(str, failures)) or "no way to the hub is open"
    said.append(f"{len(manifests)} snapshots wait in the outbox: {reasons}")
    system_id = run.state.identity.system_id
    return result_of("queued", "none", system_id, manifests, skipped=skipped, warnings=said)
