"""What one poll has to do: per system the snapshots to fetch, in order, from every reason."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from recall_daemon.ingest import poll, quarantine
from recall_daemon.ingest.gaps import GapAsker
from recall_daemon.ingest.poll import Found, FoundBare, HeadNews
from recall_daemon.store import ledger
from recall_daemon.store.ledger import Entry, Place
from recall_daemon.store.store import Connection, Store
from recall_wire import layout
from recall_wire.buckets.base import AsyncBucket
from recall_wire.errors import LimitExceeded, ManifestInvalid, ObjectNotFound
from recall_wire.manifest import HEAD_MAX_BYTES, parse_head

log = structlog.get_logger(__name__)


@dataclass
class Turns:
    """One system's snapshots of this poll, in order. Systems take turns, one snapshot each.

    `head_etag` is remembered once everything is merged or quarantined; `postponed` counts what has
    to be tried again.
    """

    system_id: str
    jobs: deque[Found | FoundBare] = field(default_factory=deque)
    head_etag: str | None = None
    postponed: int = 0

    def add(self, jobs: Iterable[Found | FoundBare]) -> None:
        """Add what is not on the list yet."""
        for job in jobs:
            seqs = {other.seq for other in self.jobs if isinstance(other, Found)}
            if not (isinstance(job, Found) and job.seq in seqs):
                self.jobs.append(job)


@dataclass(frozen=True)
class Intervals:
    """How often the costlier looks at the bucket are taken. A bare interval of 0 turns it off."""

    bare: timedelta
    reconcile: timedelta


class Agenda:
    """Collects the work of each poll. Idle cost: one LIST of `heads/` per 1,000 systems."""

    def __init__(
        self,
        bucket: AsyncBucket,
        store: Store,
        *,
        intervals: Intervals,
        gap_asker: GapAsker,
        now: Callable[[], datetime],
    ) -> None:
        self._bucket = bucket
        self._store = store
        self._intervals = intervals
        self._gap_asker = gap_asker
        self._now = now
        self._reconciled_at: datetime | None = None
        self._bare_at: datetime | None = None

    async def collect(self) -> dict[str, Turns]:
        """The work of this poll, by system. Raises what the bucket raises when it is away."""
        work: dict[str, Turns] = {}
        await self._follow_heads(work)
        await self._reconcile(work)
        await self._find_bare(work)
        self._add_waiting(work)
        self._add_missing(work)
        return work

    def look_again(self) -> None:
        """Have the next poll compare the whole bucket with the ledger."""
        self._reconciled_at = None

    def look_for_bare_again(self) -> None:
        """Have the next poll list the bare snapshots, whatever the interval."""
        self._bare_at = None

    async def _follow_heads(self, work: dict[str, Turns]) -> None:
        with self._store.read() as connection:
            systems = ledger.systems(connection).values()
        remembered = {system.system_id: system.head_etag or "" for system in systems}
        for news in await poll.changed_heads(self._bucket, remembered):
            turns = _turns(work, news.system_id)
            turns.head_etag = news.etag
            head_seq = await self._read_head(news)
            with self._store.read() as connection:
                highest = ledger.highest_settled(connection, news.system_id)
            found = await poll.new_snapshots(self._bucket, news.system_id, highest)
            # In threads: a write may wait for another that merges 50,000 rows.
            turns.add(await asyncio.to_thread(self._sort_out, news.system_id, found, head_seq))
            await asyncio.to_thread(self._note_head, news.system_id, head_seq, turns)

    async def _read_head(self, news: HeadNews) -> int | None:
        """The number a head points at; None for one that is damaged or has just gone."""
        try:
            key = layout.head_key(news.system_id)
            data = await self._bucket.get(key, max_bytes=HEAD_MAX_BYTES)
            return parse_head(data, system_id=news.system_id).seq
        except (ObjectNotFound, LimitExceeded, ManifestInvalid) as error:
            log.warning("head.invalid", system_id=news.system_id, error=str(error))
            return None

    def _sort_out(self, system_id: str, found: list[Found], head_seq: int | None) -> list[Found]:
        with self._store.read() as connection:
            known = ledger.known_seqs(connection, system_id)
        wanted, refused = poll.sort_out(found, known, head_seq)
        for item in refused:
            reason = f"number {item.seq} is far beyond every other of {system_id}"
            entry = new_entry(item, self._now())
            quarantine.put(self._store, entry, reason, self._now(), refused=True)
            log.warning("snapshot.refused", system_id=system_id, seq=item.seq, reason=reason)
        return wanted

    def _note_head(self, system_id: str, head_seq: int | None, turns: Turns) -> None:
        """Remember what the head points at, so that what it promises and is not there is missing.

        A number beyond belief becomes a warning, not a gap of a billion.
        """
        now = self._now()

        def work(connection: Connection) -> None:
            ledger.see_system(connection, system_id, now)
            highest = ledger.highest_settled(connection, system_id)
            highest = max([highest, *(j.seq for j in turns.jobs if isinstance(j, Found))])
            values: dict[str, object] = {"head_seq": head_seq, "head_changed_at": now}
            if head_seq is not None and head_seq > highest + poll.MAX_SEQ_JUMP:
                values |= {"head_seq": None, "clash": f"its head points at {head_seq}, at nothing"}
            ledger.update_system(connection, system_id, **values)

        self._store.write(work)

    async def _reconcile(self, work: dict[str, Turns]) -> None:
        """Compare the whole bucket with the ledger: correctness never rests on heads."""
        now = self._now()
        if self._reconciled_at and now - self._reconciled_at < self._intervals.reconcile:
            return
        found: dict[str, list[Found]] = {}
        async for item in poll.all_snapshots(self._bucket):
            found.setdefault(item.system_id, []).append(item)
        with self._store.read() as connection:
            systems = ledger.systems(connection)
        for system_id, items in found.items():
            head_seq = systems[system_id].head_seq if system_id in systems else None
            if wanted := await asyncio.to_thread(self._sort_out, system_id, items, head_seq):
                _turns(work, system_id).add(wanted)
        self._reconciled_at = now

    async def _find_bare(self, work: dict[str, Turns]) -> None:
        """Snapshots without a manifest whose bytes have changed since they were last merged."""
        now = self._now()
        interval = self._intervals.bare
        if not interval or (self._bare_at and now - self._bare_at < interval):
            return
        found = await poll.bare_objects(self._bucket)
        self._bare_at = now
        if found is None:
            log.warning("bare.off", reason="the endpoint ignores a delimiter of several characters")
            return
        with self._store.read() as connection:
            known = ledger.newest_bare(connection)
        for item in found:
            entry = known.get(item.key)
            if entry is None or entry.etag != item.version or entry.state in _TRIED_AGAIN:
                _turns(work, item.system_id).add([item])

    def _add_waiting(self, work: dict[str, Turns]) -> None:
        with self._store.read() as connection:
            entries = [e for state in _TRIED_AGAIN for e in ledger.entries(connection, state)]
        for entry in entries:
            if entry.origin == "bucket":
                found = Found(entry.place.system_id, entry.place.seq, entry.etag)
                _turns(work, found.system_id).add([found])

    def _add_missing(self, work: dict[str, Turns]) -> None:
        with self._store.read() as connection:
            gaps = ledger.gaps(connection)
        for found in self._gap_asker.due(gaps, self._now()):
            _turns(work, found.system_id).add([found])


_TRIED_AGAIN: tuple[ledger.State, ...] = ("waiting", "merging")


def _turns(work: dict[str, Turns], system_id: str) -> Turns:
    return work.setdefault(system_id, Turns(system_id))


def new_entry(job: Found | FoundBare, now: datetime) -> Entry:
    """A ledger entry for a snapshot that was found and not read yet."""
    if isinstance(job, FoundBare):
        # Its place in the system's order is allotted when it is settled.
        return Entry(Place(job.system_id, 0, 0), "bare", job.key, "waiting", now, job.version)
    key = layout.manifest_key(job.system_id, job.seq)
    return Entry(Place(job.system_id, job.seq), "bucket", key, "waiting", now, job.etag)
