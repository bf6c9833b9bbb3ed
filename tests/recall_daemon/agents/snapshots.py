"""Rows of snapshots into a store as a merge puts them there, and a store that is restored."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pyarrow as pa

from recall_daemon.agents.config import Agents
from recall_daemon.backup.replay import KINDS
from recall_daemon.store import arriving, journal, ledger
from recall_daemon.store.ledger import Entry, Place
from recall_daemon.store.merge import merge_rows
from recall_daemon.store.store import Connection, Store
from recall_wire.records import Record

Rows = Callable[[list[Record]], pa.Table]


def deliver(store: Store, place: Place, rows: pa.Table, agents: Agents, now: datetime) -> None:
    """One snapshot, in one transaction."""

    def work(connection: Connection) -> None:
        ledger.see_system(connection, place.system_id, now)
        taken, weighed = arriving.split(connection, place, rows)
        merge_rows(connection, place, taken, now)
        arriving.weigh_all(connection, weighed, agents, now)
        upserts = rows["op"].to_pylist().count("upsert")
        counts: Any = {"rows": upserts, "deletes": rows.num_rows - upserts}
        entry = Entry(place, "bucket", "", "merged", now, rows_done=rows.num_rows, **counts)
        ledger.record(connection, entry)

    store.write(work)


def replay(store: Store, into: Store) -> None:
    """All that the journal says, as a restore without a backup does it."""
    with store.read() as connection:
        entries = journal.unshipped(connection, 100_000, 1 << 30)

    def work(connection: Connection) -> None:
        for entry in entries:
            KINDS[entry.kind](connection, entry)

    into.write(work)
    last = entries[-1].entry_no if entries else 0
    into.write(lambda connection: journal.skip_to(connection, last))
