"""A snapshot that was pushed to the hub instead of pulled: the same snapshot, the same checks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from recall_daemon.errors import SeqRefused, SnapshotClash
from recall_daemon.ingest import compare
from recall_daemon.ingest.fetch import Spooled, SpooledFile, check_readable
from recall_daemon.ingest.poll import MAX_FIRST_SEQ, MAX_SEQ_JUMP, Found
from recall_daemon.ingest.staging import Batch, Push
from recall_daemon.ingest.validate import ReadResult
from recall_daemon.store import events, ledger
from recall_daemon.store.ledger import Entry, Origin, Place
from recall_daemon.store.store import Connection, Store
from recall_wire import layout
from recall_wire.errors import SnapshotInvalid
from recall_wire.manifest import Manifest, parse_manifest


def parse_pushed(place: Place, data: bytes, *, max_bytes: int) -> Manifest:
    """The manifest of a push, checked as `fetch` does. Raises `ManifestInvalid`, `SnapshotInvalid`,
    `UnsafeKey`."""
    layout.check_seq(place.seq)
    layout.check_system_id(place.system_id)
    manifest = parse_manifest(data, system_id=place.system_id, seq=place.seq)
    check_readable(manifest, max_bytes)
    return manifest


def spool_pushed(push: Push, batches: Sequence[Batch]) -> Spooled:
    """The staged batches in their order, as the data files of their snapshot."""
    return Spooled(
        system_id=push.place.system_id,
        locator=layout.manifest_key(push.place.system_id, push.place.seq),
        etag=None,
        files=tuple(SpooledFile(push.path(batch), "parquet", batch.rows) for batch in batches),
        manifest=push.manifest,
        manifest_sha256=push.manifest_sha256,
        created_at=push.manifest.created_at,
    )


def is_whole(spooled: Spooled) -> bool:
    """True for a database that came whole, and for the rows that an instance read from one."""
    manifest = spooled.manifest
    return manifest is None or any(file.format != "parquet" for file in manifest.files)


def check_counts(spooled: Spooled, read: ReadResult | None) -> None:
    """Hold pushed rows, whose bytes no manifest names, against the counts that it tells.

    Raises `SnapshotInvalid`. The rows of a whole database are counted by nobody before.
    """
    manifest = spooled.manifest
    if manifest is None or is_whole(spooled):
        return
    came = (read.upserts + read.deletes, read.deletes) if read else (0, 0)
    if came != (manifest.rows, manifest.deletes):
        raise SnapshotInvalid(
            f"{came[0]} rows, {came[1]} of them deletes, were pushed, "
            f"the manifest says {manifest.rows} and {manifest.deletes}"
        )


def new_entry(spooled: Spooled, now: datetime) -> Entry:
    """A ledger entry for a pushed snapshot that is not merged."""
    manifest = spooled.manifest
    assert manifest is not None
    return Entry(
        place=Place(spooled.system_id, manifest.seq),
        origin="push",
        locator=spooled.locator,
        state="waiting",
        first_seen_at=now,
        kind=manifest.kind,
        manifest_sha256=spooled.manifest_sha256,
        created_at=spooled.created_at,
    )


def standing(
    connection: Connection, place: Place, manifest: Manifest | None, manifest_sha256: str
) -> Entry | None:
    """The ledger's entry where the snapshot is settled already: nothing is left to push.

    So is the void of an instance whose snapshot was merged before it took it out. A push whose
    merge was cut off is not: the void takes its place.

    Raises `SnapshotClash` where another snapshot has its number, `SeqRefused`.
    """
    known = ledger.find(connection, place)
    if known is None or known.state not in _SETTLED:
        _check_seq(connection, place)
        return None
    if known.state in ("merged", "merging"):
        check_same(connection, known, manifest, manifest_sha256)
    if known.state == "merging":
        # What the bucket has goes on by itself, and its instance's void changes nothing.
        is_void_of_it = known.manifest_sha256 != manifest_sha256
        return known if known.origin == "bucket" and is_void_of_it else None
    return known


_SETTLED = ("merged", "merging", "dropped", "ignored")


def merged_before(store: Store, spooled: Spooled, origin: Origin, now: datetime) -> Entry | None:
    """The ledger's entry where this number was merged, by the other way, while it was read.

    Raises `SnapshotClash` for another snapshot that was pushed; one from the bucket is noted.
    """
    if (manifest := spooled.manifest) is None or spooled.manifest_sha256 is None:
        return None
    with store.read() as connection:
        known = ledger.find(connection, Place(spooled.system_id, manifest.seq))
        if known is None or known.state != "merged":
            return None
        if origin == "push":
            check_same(connection, known, manifest, spooled.manifest_sha256)
    if origin == "bucket":
        found = Found(spooled.system_id, manifest.seq, spooled.etag)
        compare.note(store, found, manifest, spooled.manifest_sha256, now)
    return known


def check_same(
    connection: Connection, known: Entry, manifest: Manifest | None, manifest_sha256: str
) -> None:
    """Raises `SnapshotClash` where the ledger's snapshot is another one."""
    if not compare.is_same(connection, known, manifest, manifest_sha256):
        raise SnapshotClash(
            f"another snapshot {known.place.seq} of {known.place.system_id} is in the hub already",
            hint="give each instance a system id of its own",
        )


def note_clash(store: Store, place: Place, now: datetime) -> None:
    """Keep it as the system's warning, and tell who subscribes: once, however often it is tried."""
    reason = (
        f"another snapshot {place.seq} than the hub's was pushed and refused; "
        "give each instance a system id of its own"
    )

    def work(connection: Connection) -> None:
        if ledger.systems(connection, system_id=place.system_id)[place.system_id].clash == reason:
            return
        ledger.update_system(connection, place.system_id, clash=reason)
        body = {"seq": place.seq, "reason": reason}
        events.append(connection, "conflict", place.system_id, body, now)

    store.write(work)


def _check_seq(connection: Connection, place: Place) -> None:
    known = ledger.known_seqs(connection, place.system_id)
    highest = max((seq for seq, entry in known.items() if entry.in_order), default=0)
    limit = highest + MAX_SEQ_JUMP if highest else MAX_FIRST_SEQ
    if place.seq > limit:
        raise SeqRefused(
            f"number {place.seq} is far beyond every other of {place.system_id}",
            hint=f"the highest that this hub would take now is {limit}",
        )
