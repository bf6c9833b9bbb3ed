"""Snapshots that could not be read: kept, listed with their reason, retried or dropped by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from recall_daemon.errors import NotInQuarantine
from recall_daemon.store import ledger
from recall_daemon.store.ledger import Entry, Place
from recall_daemon.store.store import Connection, Store

REASON_MAX_CHARS = 1000


def put(store: Store, entry: Entry, reason: str, now: datetime, *, refused: bool = False) -> Entry:
    """Settle a snapshot as quarantined; returns its entry as it then is.

    A refused one leaves no trace in the system's order. What was merged in the meantime, because
    it came by the other way too, stays merged.
    """
    settled = replace(
        entry,
        state="refused" if refused else "quarantined",
        reason=reason[:REASON_MAX_CHARS],
        settled_at=now,
    )

    def work(connection: Connection) -> Entry:
        known = ledger.find(connection, entry.place)
        if known is not None and known.state == "merged":
            return known
        ledger.see_system(connection, entry.place.system_id, now)
        ledger.record(connection, settled)
        if settled.origin == "bare":
            ledger.close_older_bare(connection, settled)
        return settled

    return store.write(work)


def listed(connection: Connection) -> list[Entry]:
    """Everything in quarantine, in order."""
    found = ledger.entries(connection, "quarantined") + ledger.entries(connection, "refused")
    return sorted(found, key=lambda e: (e.place.system_id, e.place.seq, e.place.sub))


def find(connection: Connection, place: Place) -> Entry:
    """Raises `NotInQuarantine`."""
    entry = ledger.find(connection, place)
    if entry is None or entry.state not in ("quarantined", "refused"):
        raise NotInQuarantine(
            f"snapshot {place} is not in quarantine", hint="see `recalld quarantine list`"
        )
    return entry


def retry(store: Store, place: Place, now: datetime) -> Entry:
    """Have the snapshot read again at the next poll.

    Raises `NotInQuarantine` for a refused number: merged, it would outrank all that its system
    ever writes.
    """

    def work(connection: Connection) -> Entry:
        found = find(connection, place)
        if found.state == "refused":
            raise NotInQuarantine(
                f"snapshot {place} was refused for its number, which no retry makes believable",
                hint="`recalld quarantine drop` takes it off the list",
            )
        entry = replace(found, state="waiting", first_seen_at=now, rows_done=0)
        ledger.record(connection, entry)
        return entry

    return store.write(work)


def drop(store: Store, place: Place, now: datetime) -> Entry:
    """Give the snapshot up: its number counts as settled. Its objects stay in the bucket.

    Also one that waits for data which will never come.
    """

    def work(connection: Connection) -> Entry:
        waiting = ledger.find(connection, place)
        entry = waiting if waiting and waiting.state == "waiting" else find(connection, place)
        state: ledger.State = "ignored" if entry.state == "refused" else "dropped"
        dropped = replace(entry, state=state, settled_at=now)
        ledger.record(connection, dropped)
        return dropped

    return store.write(work)
