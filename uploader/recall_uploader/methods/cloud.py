"""The way into the bucket: the usual one, and the full record."""

from __future__ import annotations

from dataclasses import dataclass

from recall_uploader.identity import Newest, newest_in_bucket
from recall_uploader.lazy import Lazy
from recall_uploader.methods.base import Delivered, Patience, Progress
from recall_uploader.outbox import Outbox
from recall_uploader.result import Method
from recall_uploader.ship import Shipment, ship
from recall_uploader.state import State
from recall_wire import layout
from recall_wire.buckets.base import Bucket
from recall_wire.errors import ManifestInvalid, ObjectNotFound
from recall_wire.manifest import MANIFEST_MAX_BYTES, Ack, parse_ack


@dataclass(frozen=True, slots=True)
class CloudMethod:
    """See `SyncMethod`."""

    bucket: Lazy[Bucket]
    part_bytes: int
    parts_in_flight: int
    path: str
    name: Method = "cloud"

    def newest(self, system_id: str, patience: Patience) -> Newest:
        return newest_in_bucket(self.bucket(), system_id, patience.retry)

    def ack(self, system_id: str, patience: Patience) -> Ack | None:
        key = layout.ack_key(system_id)
        try:
            data = patience.retry(lambda: self.bucket().get(key, max_bytes=MANIFEST_MAX_BYTES))
            return parse_ack(data, system_id=system_id)
        except (ObjectNotFound, ManifestInvalid):
            return None

    def waiting_bytes(self, outbox: Outbox) -> int:
        return sum(pending.manifest.data_bytes for pending in outbox.pending())

    def send(
        self, state: State, outbox: Outbox, patience: Patience, progress: Progress | None
    ) -> Delivered:
        shipment = Shipment(
            bucket=self.bucket(),
            retry=patience.retry,
            part_bytes=self.part_bytes,
            parts_in_flight=self.parts_in_flight,
            progress=progress,
            deadline=patience.deadline,
        )
        return ship(shipment, state, outbox)
