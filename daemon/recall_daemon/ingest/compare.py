"""Whether a snapshot that was merged by push is the one that the bucket holds under its number."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime

from recall_daemon.ingest.poll import Found
from recall_daemon.store import events, ledger
from recall_daemon.store.ledger import Entry, Place
from recall_daemon.store.store import Connection, Store
from recall_wire import layout
from recall_wire.buckets.base import AsyncBucket
from recall_wire.errors import LimitExceeded, ManifestInvalid, ObjectNotFound
from recall_wire.manifest import MANIFEST_MAX_BYTES, Manifest, parse_manifest, sha256_hex

# In the reason of each, so that a system's warning is known for one of these.
DIFFERS = "in the bucket differs from the one that was pushed"


def is_same(connection: Connection, known: Entry, manifest: Manifest | None, sha256: str) -> bool:
    """True for the ledger's own snapshot, and for the void by which its instance took it out
    after all: the answer to its merge was lost, and a void has no rows to lose."""
    if known.manifest_sha256 == sha256:
        return True
    if manifest is None or manifest.kind != "void":
        return False
    system = ledger.systems(connection, system_id=known.place.system_id)[known.place.system_id]
    return system.instance_id == manifest.instance_id


async def compare(bucket: AsyncBucket, store: Store, found: Found, now: datetime) -> None:
    """Fetch the manifest, and nothing else, of a snapshot that was pushed. Idempotent.

    What differs is kept in the ledger, for the ack and as the system's warning; nothing that was
    merged is undone. Raises what the bucket and the store raise.
    """
    key = layout.manifest_key(found.system_id, found.seq)
    try:
        data = await bucket.get(key, max_bytes=MANIFEST_MAX_BYTES)
    except ObjectNotFound:
        return  # expired since it was listed
    except LimitExceeded:
        data = b""
    manifest = _parse(data, found)
    await asyncio.to_thread(note, store, found, manifest, sha256_hex(data), now)


def note(store: Store, found: Found, manifest: Manifest | None, sha256: str, now: datetime) -> None:
    """Keep what the bucket holds under the number of a snapshot that was pushed."""
    store.write(lambda connection: _note(connection, found, manifest, sha256, now))


def _note(
    connection: Connection, found: Found, manifest: Manifest | None, sha256: str, now: datetime
) -> None:
    known = ledger.find(connection, Place(found.system_id, found.seq))
    if known is None or not known.is_uncompared:
        return
    reason = None
    if not is_same(connection, known, manifest, sha256):
        reason = (
            f"snapshot {found.seq} {DIFFERS} and was left out; upload again, so that its rows come "
            "under a new number, and give each instance a system id of its own"
        )
        ledger.update_system(connection, found.system_id, clash=reason)
        body = {"seq": found.seq, "reason": reason}
        events.append(connection, "conflict", found.system_id, body, now)
    # With its ETag it is never fetched again.
    ledger.record(connection, replace(known, etag=found.etag, reason=reason))


def _parse(data: bytes, found: Found) -> Manifest | None:
    try:
        return parse_manifest(data, system_id=found.system_id, seq=found.seq)
    except ManifestInvalid:
        return None
