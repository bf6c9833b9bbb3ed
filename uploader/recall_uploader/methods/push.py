"""The way over HTTP to the hub itself: for when the bucket cannot be reached."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from recall_uploader.errors import OutboxDamaged
from recall_uploader.identity import Newest
from recall_uploader.lazy import Lazy
from recall_uploader.methods.base import Delivered, Patience, Progress
from recall_uploader.methods.batches import Batch, batches
from recall_uploader.methods.hub import HubClient
from recall_uploader.outbox import Outbox, Pending
from recall_uploader.result import Method
from recall_uploader.state import FINAL_NOTE, State
from recall_wire.errors import SnapshotInvalid, SourceInvalid
from recall_wire.manifest import Ack, Manifest


@dataclass(frozen=True, slots=True)
class PushMethod:
    """See `SyncMethod`. A pushed snapshot is marked and stays in the outbox: the bucket is the
    full record, and gets it when it is back. Where none is used (`final`) it is delivered."""

    hub: Lazy[HubClient]
    folder: Path
    time_zone: str
    final: bool
    path: str
    name: Method = "http"

    def newest(self, system_id: str, patience: Patience) -> Newest:
        told = patience.retry(lambda: self.hub().told(system_id, patience.deadline))
        return Newest(
            told.highest_seq, told.manifest_sha256, told.machine, instance_id=told.instance_id
        )

    def ack(self, system_id: str, patience: Patience) -> Ack | None:
        told = patience.retry(lambda: self.hub().told(system_id, patience.deadline))
        if not told.highest_seq:
            return None
        return Ack(complete_to=told.complete_to, missing=told.missing, quarantined=told.quarantined)

    def waiting_bytes(self, outbox: Outbox) -> int:
        return sum(item.manifest.data_bytes for item in outbox.pending() if not item.pushed)

    def send(
        self, state: State, outbox: Outbox, patience: Patience, progress: Progress | None
    ) -> Delivered:
        sent: list[Manifest] = []
        warnings: list[str] = []
        for pending in outbox.pending():
            if not pending.pushed:
                warnings += self._push(pending, state, patience)
                outbox.mark_pushed(pending)
                sent.append(pending.manifest)
                if progress is not None:
                    progress(pending.manifest.data_bytes)
            if self.final:
                state.note(FINAL_NOTE, str(pending.seq))
                outbox.finish(pending)
        outbox.tidy()
        return Delivered(tuple(sent), tuple(warnings))

    def _push(self, pending: Pending, state: State, patience: Patience) -> list[str]:
        """Returns what a person should know: that the hub has put it into quarantine, which is
        delivered, too, but its rows are sent again under a later number."""
        try:
            self._transfer(pending, patience)
        except SnapshotInvalid as error:
            state.learn_quarantined(pending.seq, str(error))
            return [f"the hub could not take snapshot {pending.seq}: {error}"]
        return []

    def _transfer(self, pending: Pending, patience: Patience) -> None:
        hub, deadline, retry = self.hub(), patience.deadline, patience.retry
        system_id, seq = pending.manifest.system_id, pending.seq
        opening = retry(lambda: hub.open(system_id, seq, pending.data, deadline))
        if opening.settled:
            return
        digests = []
        for batch in self._batches(pending):
            if opening.have.get(batch.number) != batch.sha256:
                self._send(pending, batch, patience)
            digests.append(batch.sha256)
        retry(lambda: hub.commit(system_id, seq, pending.sha256, digests, deadline))

    def _send(self, pending: Pending, batch: Batch, patience: Patience) -> None:
        patience.retry(
            lambda: self.hub().send_batch(
                pending.manifest.system_id,
                pending.seq,
                batch,
                patience.deadline,
                manifest_sha256=pending.sha256,
            )
        )

    def _batches(self, pending: Pending) -> Iterator[Batch]:
        try:
            yield from batches(pending, self.folder, self.time_zone)
        except (SnapshotInvalid, SourceInvalid) as error:
            raise OutboxDamaged(pending.seq, str(error)) from error
