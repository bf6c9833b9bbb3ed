"""What the hub tells an instance: complete up to where, what is missing, what is quarantined."""

from __future__ import annotations

import asyncio

from recall_daemon.ingest import quarantine
from recall_daemon.store import ledger
from recall_daemon.store.store import Connection, Store
from recall_wire import layout
from recall_wire.buckets.base import AsyncBucket
from recall_wire.errors import BucketRefused, RecallError, TransientError
from recall_wire.manifest import Ack, QuarantinedSeq, sha256_hex

# An ack stays small whatever a system has done: the first ranges and reasons say enough.
MAX_LISTED = 1000


def acks(connection: Connection, *, system_id: str | None = None) -> dict[str, Ack]:
    """The ack of every known system, or of that one, derived from the ledger."""
    complete = ledger.complete_to(connection, system_id=system_id)
    missing: dict[str, list[tuple[int, int]]] = {}
    for gap in ledger.gaps(connection, system_id=system_id):
        missing.setdefault(gap.system_id, []).append((gap.first, gap.last))
    bad: dict[str, list[QuarantinedSeq]] = {}
    for entry in quarantine.listed(connection, system_id=system_id):
        line = QuarantinedSeq(seq=entry.place.seq, reason=entry.reason or "")
        bad.setdefault(entry.place.system_id, []).append(line)
    return {
        name: Ack(
            complete_to=complete.get(name, 0),
            missing=tuple(missing.get(name, ())[:MAX_LISTED]),
            quarantined=tuple(bad.get(name, ())[:MAX_LISTED]),
        )
        for name in ledger.systems(connection, system_id=system_id)
    }


async def write_changed(bucket: AsyncBucket, store: Store) -> list[RecallError]:
    """PUT the acks that differ from the ones written before; returns what went wrong.

    One ack that cannot be written holds up no other.
    """
    failed: list[RecallError] = []
    for system_id, data in await asyncio.to_thread(_changed, store):
        try:
            await bucket.put(layout.ack_key(system_id), data)
            await asyncio.to_thread(_remember, store, system_id, sha256_hex(data))
        except (TransientError, BucketRefused) as error:
            failed.append(error)
    return failed


def _changed(store: Store) -> list[tuple[str, bytes]]:
    with store.read() as connection:
        written = {s.system_id: s.ack_sha256 for s in ledger.systems(connection).values()}
        current = {name: ack.to_bytes() for name, ack in acks(connection).items()}
    return [(name, data) for name, data in current.items() if written.get(name) != sha256_hex(data)]


def _remember(store: Store, system_id: str, sha256: str) -> None:
    store.write(lambda connection: ledger.update_system(connection, system_id, ack_sha256=sha256))
