"""Forgetting rows for ever: what a forget, and the replay of one, does to the store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import pyarrow as pa

from recall_daemon.store import journal, ledger
from recall_daemon.store.ledger import Entry, Place
from recall_daemon.store.merge import merge_rows
from recall_daemon.store.store import Connection
from recall_wire.records import Record, to_batch

Identity = tuple[str, str]

# Of one journal entry, so that one of the longest ids stays small.
ENTRY_ROWS = 5_000


def note_forgotten(
    connection: Connection, identities: Sequence[Identity], now: datetime
) -> list[tuple[int, Sequence[Identity]]]:
    """Note in the journal, in the running transaction, what it forgets.

    Returns the entries: each one's number and its identities.
    """
    parts = [identities[at : at + ENTRY_ROWS] for at in range(0, len(identities), ENTRY_ROWS)]
    return [
        (journal.append(connection, "forget", {"identities": part}, now), part) for part in parts
    ]


def forget_rows(
    connection: Connection, identities: Iterable[Identity], entry_no: int, now: datetime
) -> int:
    """Forget memories, (system_id, memory_id), inside the running transaction.

    A memory the hub does not know is forgotten too: it can never come. Idempotent for one
    `entry_no`, the number of the journal entry that says so. Returns the rows that changed.
    """
    by_system: dict[str, set[str]] = {}
    for system_id, memory_id in identities:
        by_system.setdefault(system_id, set()).add(memory_id)
    return sum(
        _forget(connection, system_id, sorted(ids), entry_no, now)
        for system_id, ids in sorted(by_system.items())
    )


def _forget(
    connection: Connection, system_id: str, ids: list[str], entry_no: int, now: datetime
) -> int:
    locator = f"journal/{entry_no}"
    ledger.see_system(connection, system_id, now)
    if ledger.journaled(connection, system_id, locator):
        return 0
    place = ledger.next_sub(connection, system_id)
    merged = merge_rows(connection, place, _rows(ids), now)
    ledger.record(connection, _entry(place, locator, len(ids), now))
    return merged.changed


def _rows(ids: list[str]) -> pa.Table:
    table = pa.Table.from_batches([to_batch([Record(name, op="forget") for name in ids])])
    numbers = pa.array(range(len(ids)), pa.int64())
    return table.append_column("row_no", numbers).append_column(
        "text_hash", pa.nulls(len(ids), pa.string())
    )


def _entry(place: Place, locator: str, deletes: int, now: datetime) -> Entry:
    return Entry(
        place=place,
        origin="journal",
        locator=locator,
        state="merged",
        kind="forget",
        deletes=deletes,
        rows_done=deletes,
        first_seen_at=now,
        settled_at=now,
    )
