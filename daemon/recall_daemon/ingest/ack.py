"""What the hub tells an instance: complete up to where, what is missing, what is quarantined."""

from __future__ import annotations

import asyncio

from recall_daemon.ingest import quarantine
from recall_daemon.store import ledger
from recall_daemon.store.store import Connection, Store
from recall_wire import layout
from recall_wire.buckets.base import AsyncBucket
from recall_wire.manifest import Ack, QuarantinedSeq, sha256_hex

# An ack stays small whatever a system has done: the first ranges and reasons say enough.
MAX_LISTED = 1000


def acks(connection: Connection) -> dict[str, Ack]:
    """The ack of every known system, derived from the ledger."""
    complete = ledger.complete_to(connection)
    missing: dict[str, list[tuple[int, int]]] = {}
    for gap in ledger.gaps(connection):
        missing.setdefault(gap.system_id, []).append((gap.first, gap.last))
    bad: dict[str, list[QuarantinedSeq]] = {}
    for entry in quarantine.listed(connection):
        line = QuarantinedSeq(seq=entry.place.seq, reason=entry.reason or "")
        bad.setdefault(entry.place.system_id, []).append(line)
    return {
        system_id: Ack(
            complete_to=complete.get(system_id, 0),
            missing=tuple(missing.get(system_id, ())[:MAX_LISTED]),
            quarantined=tuple(bad.get(system_id, ())[:MAX_LISTED]),
        )
        for system_id in ledger.systems(connection)
    }


async def write_changed(bucket: AsyncBucket, store: Store) -> int:
    """PUT the acks that differ from the ones written before; returns how many."""
    with store.read() as connection:
        known = ledger.systems(connection)
        current = acks(connection)
    written = 0
    for system_id, ack in current.items():
        data = ack.to_bytes()
        sha256 = sha256_hex(data)
        if sha256 == known[system_id].ack_sha256:
            continue
        await bucket.put(layout.ack_key(system_id), data)
        await asyncio.to_thread(_remember, store, system_id, sha256)
        written += 1
    return written


def _remember(store: Store, system_id: str, sha256: str) -> None:
    store.write(lambda connection: ledger.update_system(connection, system_id, ack_sha256=sha256))
