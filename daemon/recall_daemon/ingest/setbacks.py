"""What becomes of a snapshot that did not get through: it waits, or it is quarantined."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from recall_daemon.errors import SnapshotIncomplete
from recall_daemon.ingest import quarantine
from recall_daemon.ingest.agenda import Agenda, new_entry
from recall_daemon.ingest.poll import Found, FoundBare
from recall_daemon.logs import without_values
from recall_daemon.metrics import SNAPSHOTS
from recall_daemon.store import ledger
from recall_daemon.store.ledger import Entry
from recall_daemon.store.store import Connection, Store
from recall_wire.errors import TerminalError, TransientError

log = structlog.get_logger(__name__)


class Setbacks:
    """Keeps the ledger true for what was found and not merged.

    `merging` is the pipeline's lock of each system: no snapshot is quarantined between two chunks
    of a merge of the same one, which came by the other way.
    """

    def __init__(
        self,
        store: Store,
        agenda: Agenda,
        merging: defaultdict[str, asyncio.Lock],
        *,
        incomplete_max_age: timedelta,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._agenda = agenda
        self._merging = merging
        self.incomplete_max_age = incomplete_max_age
        self._now = now

    async def wait(self, job: Found | FoundBare, error: SnapshotIncomplete) -> bool:
        """A folder that is still syncing: raise `error` to try again, up to its time.

        Past it, see `quarantine`.
        """
        with self._store.read() as connection:
            known = ledger.find(connection, new_entry(job, self._now()).place)
        first_seen_at = known.first_seen_at if known else self._now()
        if self._now() - first_seen_at <= self.incomplete_max_age:
            raise error
        return await self.quarantine(job, str(error))

    async def note_waiting(self, job: Found | FoundBare) -> None:
        """Keep in the ledger that a listed snapshot is still to be had: no listing shows it again.

        A missing number (no ETag) has its own backoff; the bare ones are simply listed again.
        """
        if isinstance(job, FoundBare):
            self._agenda.look_for_bare_again()
            return
        if job.pushed:
            self._agenda.compare_again(job)
        if job.pushed or job.etag is None:
            return
        entry = new_entry(job, self._now())

        def work(connection: Connection) -> None:
            known = ledger.find(connection, entry.place)
            bad = known is not None and known.state in ("quarantined", "refused")
            if known is None or (bad and known.etag != entry.etag):
                ledger.see_system(connection, job.system_id, entry.first_seen_at)
                ledger.record(connection, entry)

        try:
            await asyncio.to_thread(self._store.write, work)
        except TransientError:
            self._agenda.look_again()

    async def quarantine(self, job: Found | FoundBare, reason: str) -> bool:
        """False where it was merged meanwhile, because it came by the other way too."""
        entry = new_entry(job, self._now())
        if isinstance(job, FoundBare):
            entry = await self._bare_entry(entry)
        settled = await self.put_in_quarantine(entry, reason)
        return settled.state != "merged"

    async def put_in_quarantine(self, entry: Entry, reason: str) -> Entry:
        """Returns the entry as it then is."""
        async with self._merging[entry.place.system_id]:
            settled = await asyncio.to_thread(
                quarantine.put, self._store, entry, reason, self._now()
            )
        if settled.state != "merged":
            SNAPSHOTS.labels(settled.state).inc()
        log.warning(
            "snapshot.unreadable",
            place=str(entry.place),
            state=settled.state,
            reason=without_values(reason),
        )
        return settled

    async def _bare_entry(self, entry: Entry) -> Entry:
        """A bare snapshot's place: that of an earlier try at the same bytes, else a new one."""
        with self._store.read() as connection:
            known = ledger.newest_bare(connection).get(entry.locator)
            if known is not None and known.etag == entry.etag:
                return replace(entry, place=known.place)
            return replace(entry, place=ledger.next_sub(connection, entry.place.system_id))


def reason(error: Exception, system_id: str) -> str:
    """What is said of a snapshot that failed so; what nobody foresaw is logged whole."""
    if isinstance(error, TerminalError):
        return str(error)
    log.exception("snapshot.unexpected", system_id=system_id)
    return f"{type(error).__name__}: {error}"
