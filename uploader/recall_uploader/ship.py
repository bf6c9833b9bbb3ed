"""From the outbox into the bucket: data, then the manifest, then one head for the run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from recall_uploader.deadline import Deadline
from recall_uploader.errors import OutboxDamaged, SystemClash
from recall_uploader.identity import Newest, newest_told
from recall_uploader.methods.base import Delivered, Progress
from recall_uploader.outbox import Outbox, Pending
from recall_uploader.recover import REMEDY
from recall_uploader.retry import Retry
from recall_uploader.state import Committed, State
from recall_uploader.stored import check_head, check_stored
from recall_wire import layout
from recall_wire.buckets.base import PART_BYTES, Bucket
from recall_wire.buckets.multipart import abort_stale, upload_file
from recall_wire.errors import (
    ManifestInvalid,
    ObjectNotFound,
    PreconditionFailed,
    RecallError,
    SnapshotInvalid,
    TerminalError,
    TransientError,
)
from recall_wire.manifest import (
    MANIFEST_MAX_BYTES,
    DataFile,
    Head,
    Manifest,
    parse_manifest,
    sha256_hex,
)


@dataclass(frozen=True, slots=True)
class Shipment:
    """How one run delivers. `progress` is told of each piece of bytes that went out."""

    bucket: Bucket
    retry: Retry
    part_bytes: int = PART_BYTES
    parts_in_flight: int = 4
    progress: Progress | None = None
    deadline: Deadline | None = None

    def check_time(self) -> None:
        """Raises `OutOfTime`."""
        if self.deadline is not None:
            self.deadline.check()


def ship(shipment: Shipment, state: State, outbox: Outbox) -> Delivered:
    """Deliver everything that waits, by number.

    A snapshot leaves `sending/` only when the head that covers it is written. Raises what the
    bucket raises, retries included; what was sent before is settled then, and the rest stays in
    the outbox. Raises `SystemClash` where another writer has one of the numbers, `OutboxDamaged`
    where a file is not what it was.
    """
    waiting = outbox.pending()
    if not waiting:
        return Delivered()
    newest = newest_told(shipment.bucket, state, waiting, shipment.retry)
    sent: list[tuple[Pending, Committed]] = []
    try:
        for pending in waiting:
            if _is_covered(pending, newest):
                sent.append((pending, Committed(pending.seq, pending.sha256)))
                continue
            shipment.check_time()
            sending = outbox.begin(pending)
            sha256 = _deliver(shipment, sending, resumed=pending.begun)
            sent.append((sending, Committed(pending.seq, sha256)))
    except TerminalError as error:
        # One snapshot that cannot be sent must not hold back those before it.
        _settle(shipment, state, outbox, sent, newest)
        if isinstance(error, SnapshotInvalid):
            raise OutboxDamaged(sending.seq, str(error)) from error
        raise
    except TransientError:
        # Nor may one that cannot be sent now, however many runs it takes.
        with suppress(RecallError):
            _settle(shipment, state, outbox, sent, newest)
        raise
    _cover(shipment, state, sent, newest)
    # Before they leave `sending/`: a run with nothing to send would never come back to it.
    warnings = tuple(_abort_stale(shipment, state.identity.system_id))
    _finish(outbox, sent)
    return Delivered(tuple(pending.manifest for pending, _ in sent), warnings)


def _is_covered(pending: Pending, newest: Newest) -> bool:
    """A head of ours covers it: it had all arrived when a run was cut off.

    It is not compared with what lies there: a hub may have taken forgotten rows out of it since.
    """
    return pending.begun and pending.manifest.kind != "void" and pending.seq <= newest.head_seq


def _settle(
    shipment: Shipment,
    state: State,
    outbox: Outbox,
    sent: Sequence[tuple[Pending, Committed]],
    newest: Newest,
) -> None:
    if sent:
        _cover(shipment, state, sent, newest)
        _finish(outbox, sent)


def _cover(
    shipment: Shipment, state: State, sent: Sequence[tuple[Pending, Committed]], newest: Newest
) -> None:
    """All of it is in the bucket, and the head says so."""
    new = [pending for pending, _ in sent if not _is_covered(pending, newest)]
    check_stored(shipment.bucket, new, shipment.retry)
    committed = sent[-1][1]
    _write_head(shipment, state, committed, newest)
    if committed.seq > state.committed.seq:
        state.commit(committed)


def _finish(outbox: Outbox, sent: Sequence[tuple[Pending, Committed]]) -> None:
    for pending, _ in sent:
        outbox.finish(pending)
    outbox.tidy()


def _deliver(shipment: Shipment, pending: Pending, *, resumed: bool) -> str:
    """Returns the sha256 of the manifest that holds this number now."""
    key = layout.manifest_key(pending.manifest.system_id, pending.seq)
    for file in pending.manifest.files:
        _deliver_file(shipment, pending, file, resumed=resumed)
    try:
        shipment.retry(lambda: shipment.bucket.put(key, pending.data, if_absent=True))
    except PreconditionFailed:
        return _same_or_clash(shipment, pending, key)
    return pending.sha256


def _deliver_file(shipment: Shipment, pending: Pending, file: DataFile, *, resumed: bool) -> None:
    key = layout.data_key(pending.manifest.system_id, pending.seq, file.name)
    if resumed and _is_there(shipment, key, file):
        return
    upload_file(
        shipment.bucket,
        key,
        pending.path(file),
        sha256=file.sha256,
        bytes_=file.bytes,
        part_bytes=shipment.part_bytes,
        parts_in_flight=shipment.parts_in_flight,
        progress=shipment.progress,
        sleep=shipment.retry.sleep,
        check=shipment.check_time,
        tries=shipment.retry.retries + 1,
    )


def _is_there(shipment: Shipment, key: str, file: DataFile) -> bool:
    """The key carries the sha256, so an object of that length under it is the file."""
    try:
        return shipment.retry(lambda: shipment.bucket.head(key)).bytes == file.bytes
    except ObjectNotFound:
        return False


def _same_or_clash(shipment: Shipment, pending: Pending, key: str) -> str:
    """A manifest is there already: our own, whose answer was lost, or somebody else's."""
    there = shipment.retry(lambda: shipment.bucket.get(key, max_bytes=MANIFEST_MAX_BYTES))
    if there == pending.data or _was_ours_before(pending.manifest, there):
        return sha256_hex(there)
    raise SystemClash(
        f"snapshot {pending.seq} of system {pending.manifest.system_id} is in the bucket already "
        "and was written by another instance",
        hint=REMEDY,
    )


def _was_ours_before(manifest: Manifest, there: bytes) -> bool:
    """A void stands for a snapshot that was taken out after its manifest had arrived."""
    if manifest.kind != "void":
        return False
    try:
        found = parse_manifest(there, system_id=manifest.system_id, seq=manifest.seq)
    except ManifestInvalid:
        return False
    return found.instance_id == manifest.instance_id


def _write_head(shipment: Shipment, state: State, committed: Committed, newest: Newest) -> None:
    """Never lowers a head. Not conditional: R2 allows it, and the story was checked before."""
    if newest.head_seq >= committed.seq:
        return
    identity = state.identity
    head = Head(
        seq=committed.seq, manifest_sha256=committed.manifest_sha256, machine=identity.machine
    )
    key = layout.head_key(identity.system_id)
    shipment.retry(lambda: shipment.bucket.put(key, head.to_bytes()))
    check_head(shipment.bucket, key, head.to_bytes(), shipment.retry)


def _abort_stale(shipment: Shipment, system_id: str) -> Iterator[str]:
    """Abort what a dead run left under this system's own prefix; that this is not allowed is only
    a warning."""
    bucket, prefix = shipment.bucket, layout.snapshots_prefix(system_id)
    try:
        # All of them: under the lock, no other run of this system has one under way.
        shipment.retry(lambda: abort_stale(bucket, prefix, datetime.max.replace(tzinfo=UTC)))
    except TerminalError as error:
        yield f"stale multipart uploads could not be looked for: {error}"
