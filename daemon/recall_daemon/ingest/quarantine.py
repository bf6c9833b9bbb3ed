"""Snapshots that could not be read: kept, listed with their reason, retried or dropped by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from recall_daemon.errors import NotInQuarantine
from recall_daemon.store import audit_log, events, ledger
from recall_daemon.store.audit_log import Act
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
        if known is None or _told(known) != _told(settled):
            _tell(connection, settled, now)
        return settled

    return store.write(work)


def _told(entry: Entry) -> tuple[object, ...]:
    return entry.state, entry.reason, entry.etag


def _tell(connection: Connection, entry: Entry, now: datetime) -> None:
    place = entry.place
    body = {"seq": place.seq, "sub": place.sub, "state": entry.state, "reason": entry.reason}
    events.append(connection, "snapshot.quarantined", place.system_id, body, now)


def listed(connection: Connection, *, system_id: str | None = None) -> list[Entry]:
    """Everything in quarantine, in order, also what the bucket holds beside what was pushed."""
    states: tuple[ledger.State, ...] = ("quarantined", "refused")
    found = [e for state in states for e in ledger.entries(connection, state, system_id=system_id)]
    found += ledger.differing(connection, system_id=system_id)
    return sorted(found, key=lambda e: (e.place.system_id, e.place.seq, e.place.sub))


def find(connection: Connection, place: Place, *, seen: bool = True) -> Entry:
    """Raises `NotInQuarantine`, with the same words where the caller may not see it."""
    entry = ledger.find(connection, place)
    if (
        entry is None
        or not seen
        or (entry.state not in ("quarantined", "refused") and not _differs(entry))
    ):
        raise NotInQuarantine(
            f"snapshot {place} is not in quarantine", hint="see `recalld quarantine list`"
        )
    return entry


def _differs(entry: Entry) -> bool:
    return entry.state == "merged" and entry.reason is not None


def retry(store: Store, place: Place, now: datetime, *, actor: str) -> Entry:
    """Have the snapshot read again at the next poll; the audit log says who asked.

    Raises `NotInQuarantine` for a refused number: merged, it would outrank all that its system
    ever writes. And for one that differs from what was pushed, whose place is taken.
    """

    def work(connection: Connection) -> Entry:
        found = find(connection, place)
        if found.state == "refused":
            raise NotInQuarantine(
                f"snapshot {place} was refused for its number, which no retry makes believable",
                hint="`recalld quarantine drop` takes it off the list",
            )
        if _differs(found):
            raise NotInQuarantine(
                f"snapshot {place} was merged as it was pushed, its number is taken",
                hint="its instance sends its rows again; `recalld quarantine drop` clears the line",
            )
        entry = replace(found, state="waiting", first_seen_at=now, rows_done=0)
        ledger.record(connection, entry)
        _note(connection, actor, "quarantine.retried", found, now)
        return entry

    return store.write(work)


def drop(store: Store, place: Place, now: datetime, *, actor: str) -> Entry:
    """Give the snapshot up: its number counts as settled. Its objects stay in the bucket.

    Also one that waits for data which will never come.
    """

    def work(connection: Connection) -> Entry:
        waiting = ledger.find(connection, place)
        entry = waiting if waiting and waiting.state == "waiting" else find(connection, place)
        _note(connection, actor, "quarantine.dropped", entry, now)
        if _differs(entry):
            return _clear(connection, entry)
        state: ledger.State = "ignored" if entry.state == "refused" else "dropped"
        dropped = replace(entry, state=state, settled_at=now)
        ledger.record(connection, dropped)
        return dropped

    return store.write(work)


def _note(connection: Connection, actor: str, action: str, entry: Entry, now: datetime) -> None:
    """In the transaction that does it."""
    said = {"seq": entry.place.seq, "sub": entry.place.sub, "state": entry.state}
    audit_log.append(connection, Act(actor, action, entry.place.system_id, said), now)


def _clear(connection: Connection, entry: Entry) -> Entry:
    """It stays merged as it was pushed, and nobody is told any more."""
    system_id = entry.place.system_id
    if ledger.systems(connection, system_id=system_id)[system_id].clash == entry.reason:
        ledger.update_system(connection, system_id, clash=None)
    cleared = replace(entry, reason=None)
    ledger.record(connection, cleared)
    return cleared
