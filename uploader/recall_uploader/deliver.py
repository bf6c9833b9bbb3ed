"""The end of every run that sends: what waits goes out, or stays and says why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from recall_uploader.errors import OutboxDamaged
from recall_uploader.recover import discard
from recall_uploader.result import UploadResult, result_of
from recall_uploader.run import Run
from recall_uploader.ship import Delivered, ship
from recall_wire.errors import TransientError
from recall_wire.manifest import Manifest


def deliver(run: Run, *, skipped: int = 0, warnings: Sequence[str] = ()) -> UploadResult:
    """Ship the whole outbox, by number. What cannot be sent now stays queued, which is no error:
    the next run, once it has read its source, sends it before what it spools itself. Raises what
    only a person can mend (`TerminalError`).
    """
    system_id = run.state.identity.system_id
    said = [*run.warnings, *warnings]
    if not run.outbox.pending():
        return result_of("unchanged", "none", system_id, [], skipped=skipped, warnings=said)
    try:
        delivered = _ship_intact(run, said)
    except TransientError as error:
        manifests = [pending.manifest for pending in run.outbox.pending()]
        said.append(f"{len(manifests)} snapshots wait in the outbox: {error}")
        return result_of("queued", "none", system_id, manifests, skipped=skipped, warnings=said)
    said += delivered.warnings
    return result_of(
        "committed", "cloud", system_id, delivered.manifests, skipped=skipped, warnings=said
    )


def _ship_intact(run: Run, said: list[str]) -> Delivered:
    """A snapshot whose bytes have rotted is taken out: its rows are sent again by the next run."""
    before: tuple[Manifest, ...] = ()
    while True:
        try:
            waiting = run.outbox.pending()
            delivered = _ship(run, sum(pending.manifest.data_bytes for pending in waiting))
            return replace(delivered, manifests=before + delivered.manifests)
        except OutboxDamaged as error:
            said.append(str(error))
            before += tuple(item.manifest for item in waiting if item.seq < error.seq)
            discard(run.spool, next(p for p in run.outbox.pending() if p.seq == error.seq))


def _ship(run: Run, total_bytes: int) -> Delivered:
    with run.instance.show_progress(total_bytes) as progress:
        return ship(run.shipment(progress), run.state, run.outbox)
