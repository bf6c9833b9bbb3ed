"""What one poll has to do: per system the snapshots to fetch, in order, from every reason."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from recall_daemon.ingest import poll, quarantine
from recall_daemon.ingest.gaps import GapAsker
from recall_daemon.ingest.poll import Found, FoundBare, HeadNews
from recall_daemon.logs import without_values
from recall_daemon.metrics import SNAPSHOTS
from recall_daemon.store import ledger
from recall_daemon.store.ledger import Entry, Place
from recall_daemon.store.store import Connection, Store
from recall_wire import layout
from recall_wire.buckets.base import AsyncBucket
from recall_wire.errors import (
    BucketRefused,
    LimitExceeded,
    ManifestInvalid,
    ObjectNotFound,
    TransientError,
)
from recall_wire.manifest import HEAD_MAX_BYTES, parse_head

log = structlog.get_logger(__name__)


@dataclass
class Turns:
    """One system's snapshots that are to be had, in order. Systems take turns, one snapshot each.

    `head_etag` is remembered once everything is merged or quarantined, so not when some was
    `postponed`; `announced_at` is when that head was written.
    """

    system_id: str
    jobs: deque[Found | FoundBare] = field(default_factory=deque)
    head_etag: str | None = None
    announced_at: datetime | None = None
    postponed: bool = False
    _listed: set[int | str] = field(default_factory=set)

    def add(self, jobs: Iterable[Found | FoundBare]) -> None:
        """Add what is not on the list yet."""
        for job in jobs:
            name = job.seq if isinstance(job, Found) else job.key
            if name not in self._listed:
                self._listed.add(name)
                self.jobs.append(job)

    def take(self) -> Found | FoundBare:
        """The next one. From now on it may be added again."""
        job = self.jobs.popleft()
        self._listed.discard(job.seq if isinstance(job, Found) else job.key)
        return job


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
        self.intervals = intervals
        self.gap_asker = gap_asker
        self._now = now
        self._reconciled_at: datetime | None = None
        self._bare_at: datetime | None = None
        # Not in the ledger: a restart compares the whole bucket with it.
        self._uncompared: list[Found] = []

    async def collect(self, running: Mapping[str, Turns]) -> tuple[dict[str, Turns], list[str]]:
        """The work of this poll by system, and what went wrong with single systems.

        A system of an earlier poll that is still `running` gets its news added. Raises what the
        bucket raises when it is away.
        """
        now = self._now()
        work = _Work(dict(running))
        await self._follow_heads(work)
        reconciled = await self._reconcile(work, now)
        bare = await self._find_bare(work, now)
        await asyncio.to_thread(self._add_open, work)
        # Only now: had something failed on the way, what was found would be lost till tomorrow.
        if reconciled:
            self._reconciled_at = now
        if bare:
            self._bare_at = now
        return work.turns, work.errors

    def look_again(self) -> None:
        """Have the next poll compare the whole bucket with the ledger."""
        self._reconciled_at = None

    def look_for_bare_again(self) -> None:
        """Have the next poll list the bare snapshots, whatever the interval."""
        self._bare_at = None

    def compare_again(self, found: Found) -> None:
        """Have the next poll compare a pushed snapshot's manifest: no listing shows it again."""
        self._uncompared.append(found)

    async def _follow_heads(self, work: _Work) -> None:
        remembered = await asyncio.to_thread(self._remembered)
        news = await poll.changed_heads(self._bucket, remembered)
        asking = asyncio.Semaphore(HEADS_AT_ONCE)

        async def follow(item: HeadNews) -> None:
            async with asking:
                try:
                    await self._follow_head(work, item)
                except (TransientError, BucketRefused) as error:
                    # One head that cannot be read is one system's trouble; it stays news.
                    work.errors.append(str(error))
                    log.warning("head.failed", system_id=item.system_id, error=str(error))

        await asyncio.gather(*(follow(item) for item in news))

    def _remembered(self) -> dict[str, str]:
        with self._store.read() as connection:
            systems = ledger.systems(connection).values()
        return {system.system_id: system.head_etag or "" for system in systems}

    async def _follow_head(self, work: _Work, news: HeadNews) -> None:
        head_seq = await self._read_head(news)
        after = await asyncio.to_thread(self._list_after, news.system_id)
        found = await poll.new_snapshots(self._bucket, news.system_id, after)
        # In threads: a write may wait for another that merges 50,000 rows.
        wanted = await asyncio.to_thread(self._sort_out, news.system_id, found, head_seq)
        await asyncio.to_thread(self._note_head, news.system_id, head_seq, wanted)
        turns = work.of(news.system_id)
        turns.add(wanted)
        turns.head_etag, turns.announced_at = news.etag, news.announced_at

    def _list_after(self, system_id: str) -> int:
        with self._store.read() as connection:
            return ledger.list_after(connection, system_id)

    async def _read_head(self, news: HeadNews) -> int | None:
        """The number a head points at; None for one that is damaged or has just gone."""
        try:
            key = layout.head_key(news.system_id)
            data = await self._bucket.get(key, max_bytes=HEAD_MAX_BYTES)
            return parse_head(data, system_id=news.system_id).seq
        except (ObjectNotFound, LimitExceeded, ManifestInvalid) as error:
            log.warning("head.invalid", system_id=news.system_id, error=without_values(str(error)))
            return None

    def _sort_out(self, system_id: str, found: list[Found], head_seq: int | None) -> list[Found]:
        with self._store.read() as connection:
            known = ledger.known_seqs(connection, system_id)
        wanted, refused = poll.sort_out(found, known, head_seq)
        for item in refused:
            reason = f"number {item.seq} is far beyond every other of {system_id}"
            entry = new_entry(item, self._now())
            quarantine.put(self._store, entry, reason, self._now(), refused=True)
            SNAPSHOTS.labels("refused").inc()
            log.warning("snapshot.refused", system_id=system_id, seq=item.seq, reason=reason)
        return wanted

    def _note_head(self, system_id: str, head_seq: int | None, wanted: list[Found]) -> None:
        """Remember what the head points at, so that what it promises and is not there is missing.

        A number beyond belief becomes a warning, not a gap of a billion.
        """
        now = self._now()

        def work(connection: Connection) -> None:
            ledger.see_system(connection, system_id, now)
            highest = ledger.highest_settled(connection, system_id)
            highest = max([highest, *(item.seq for item in wanted)])
            values: dict[str, object] = {"head_seq": head_seq, "head_changed_at": now}
            clash = ledger.systems(connection)[system_id].clash or ""
            if head_seq is not None and head_seq > highest + poll.MAX_SEQ_JUMP:
                values |= {
                    "head_seq": None,
                    "clash": f"{_HEAD_POINTS} {head_seq}, far beyond the others",
                }
            elif clash.startswith(_HEAD_POINTS):
                values["clash"] = None
            ledger.update_system(connection, system_id, **values)

        self._store.write(work)

    async def _reconcile(self, work: _Work, now: datetime) -> bool:
        """Compare the whole bucket with the ledger: correctness never rests on heads."""
        if self._reconciled_at and now - self._reconciled_at < self.intervals.reconcile:
            return False
        found: dict[str, list[Found]] = {}
        async for item in poll.all_snapshots(self._bucket):
            found.setdefault(item.system_id, []).append(item)
        heads = await asyncio.to_thread(self._head_seqs)
        for system_id, items in found.items():
            head_seq = heads.get(system_id)
            if wanted := await asyncio.to_thread(self._sort_out, system_id, items, head_seq):
                work.of(system_id).add(wanted)
        return True

    def _head_seqs(self) -> dict[str, int | None]:
        with self._store.read() as connection:
            return {name: system.head_seq for name, system in ledger.systems(connection).items()}

    async def _find_bare(self, work: _Work, now: datetime) -> bool:
        """Snapshots without a manifest whose bytes have changed since they were last merged."""
        known = await asyncio.to_thread(self._known_bare)
        is_open = any(entry.state in _TRIED_AGAIN for entry in known.values())
        interval = self.intervals.bare
        due = interval and (self._bare_at is None or now - self._bare_at >= interval)
        if not (due or is_open):
            return False
        found = await poll.bare_objects(self._bucket)
        if found is None:
            log.warning("bare.off", reason="the endpoint ignores a delimiter of several characters")
            return True
        for item in found:
            entry = known.pop(item.key, None)
            if entry is None or entry.etag != item.version or entry.state in _TRIED_AGAIN:
                work.of(item.system_id).add([item])
        gone = [entry for entry in known.values() if entry.state in _TRIED_AGAIN]
        if gone:
            await asyncio.to_thread(self._store.write, lambda c: _close(c, gone))
        return True

    def _known_bare(self) -> dict[str, Entry]:
        with self._store.read() as connection:
            return ledger.newest_bare(connection)

    def _add_open(self, work: _Work) -> None:
        """What the ledger says is still to be had, and the missing numbers whose turn has come."""
        with self._store.read() as connection:
            entries = [e for state in _TRIED_AGAIN for e in ledger.entries(connection, state)]
            gaps = ledger.gaps(connection)
        for entry in entries:
            if entry.origin == "bucket":
                found = Found(entry.place.system_id, entry.place.seq, entry.etag)
                work.of(found.system_id).add([found])
        again, self._uncompared = self._uncompared, []
        for found in [*self.gap_asker.due(gaps, self._now()), *again]:
            work.of(found.system_id).add([found])


HEADS_AT_ONCE = 8
_TRIED_AGAIN: tuple[ledger.State, ...] = ("waiting", "merging")
_HEAD_POINTS = "its head points at"


@dataclass
class _Work:
    turns: dict[str, Turns]
    errors: list[str] = field(default_factory=list)

    def of(self, system_id: str) -> Turns:
        return self.turns.setdefault(system_id, Turns(system_id))


def _close(connection: Connection, gone: list[Entry]) -> None:
    """A bare object that has gone before it was merged is nothing to wait for."""
    for entry in gone:
        ledger.record(connection, replace(entry, state="ignored"))


def new_entry(job: Found | FoundBare, now: datetime) -> Entry:
    """A ledger entry for a snapshot that was found and not read yet."""
    if isinstance(job, FoundBare):
        # Its place in the system's order is allotted when it is settled.
        return Entry(Place(job.system_id, 0, 0), "bare", job.key, "waiting", now, job.version)
    key = layout.manifest_key(job.system_id, job.seq)
    return Entry(Place(job.system_id, job.seq), "bucket", key, "waiting", now, job.etag)
