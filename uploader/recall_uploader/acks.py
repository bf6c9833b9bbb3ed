"""What the hub said of this system: what it could not take is sent again."""

from __future__ import annotations

from recall_uploader.methods.choose import PATH_ERRORS
from recall_uploader.run import Run
from recall_wire.manifest import Ack

ACK_NOTE = "ack"
SKIP_MAX = 10_000  # a hub refuses what lies further beyond the rest


def learn_ack(run: Run) -> None:
    """Read the hub's ack, one GET, and mark the rows of quarantined snapshots to be sent again.

    A hub, or bucket, that does not answer now changes nothing.
    """
    ack = read_ack(run)
    if ack is None:
        return
    if run.state.noted(ACK_NOTE) != (text := ack.to_bytes().decode()):
        run.state.note(ACK_NOTE, text)
    # Of a life before, whose state is lost: those numbers are taken, and not by us.
    if run.state.next_seq <= ack.complete_to < run.state.next_seq + SKIP_MAX:
        run.state.skip_to(ack.complete_to + 1)
    for item in ack.quarantined:
        if item.seq >= run.state.next_seq:
            continue  # said of a former life of this system
        if run.state.learn_quarantined(item.seq, item.reason):
            run.warnings.append(
                f"the hub could not take snapshot {item.seq} ({item.reason}); its rows are sent "
                "again"
            )
    run.state.settle(ack.complete_to)


def read_ack(run: Run) -> Ack | None:
    """From the first way that answers, asked once; a way whose breaker is open is not asked."""
    for method in run.methods:
        if run.breaker(method).status != "closed":
            continue
        try:
            return method.ack(run.state.identity.system_id, run.patience.once())
        except PATH_ERRORS:
            continue
    return None
