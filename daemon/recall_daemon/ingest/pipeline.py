"""One poll: poll → fetch → validate → merge, for every system with news, none in another's way."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from recall_daemon.agents.config import NO_AGENTS, Agents
from recall_daemon.disk import Disk
from recall_daemon.errors import (
    DiskFull,
    HubStrained,
    SnapshotClash,
    SnapshotIncomplete,
    SnapshotQuarantined,
    StoreBroken,
)
from recall_daemon.ingest import ack, compare, fetch, gap_events, merge, receive, setbacks
from recall_daemon.ingest.agenda import Agenda, Turns
from recall_daemon.ingest.fetch import Spooled
from recall_daemon.ingest.merge import Outcome, Ticket
from recall_daemon.ingest.poll import Found, FoundBare
from recall_daemon.ingest.setbacks import Setbacks
from recall_daemon.ingest.spool import Spool
from recall_daemon.ingest.validate import InputFile, Reader, ReadRequest, ReadResult
from recall_daemon.metrics import LAG_SECONDS, ROWS_MERGED, SNAPSHOTS, SYNC_LATENCY_SECONDS
from recall_daemon.store import ledger
from recall_daemon.store.store import Connection, Store
from recall_wire.buckets.base import AsyncBucket
from recall_wire.errors import (
    BucketRefused,
    ObjectNotFound,
    RecallError,
    TransientError,
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Limits:
    """How much one snapshot may cost, and how long to wait for what is missing."""

    max_snapshot_bytes: int
    concurrency: int
    time_zone: str
    incomplete_max_age: timedelta


@dataclass(frozen=True)
class Readers:
    """Two pools, so that databases that came whole, and may take minutes, never hold up the
    snapshots of the contract, which are small."""

    contract: Reader
    whole: Reader

    async def close(self) -> None:
        await self.contract.close()
        await self.whole.close()


@dataclass
class PollReport:
    """What one poll did. `pending` counts what has to be tried again; `failed`: nothing at all."""

    merged: int = 0
    changed_rows: int = 0
    quarantined: int = 0
    pending: int = 0
    errors: list[str] = field(default_factory=list)
    failed: bool = False

    @property
    def outcome(self) -> str:
        if self.failed:
            return "failed"
        return "partly" if self.errors else "ok"


class Pipeline:
    """Pulls what is new into the store.

    `on_merged` is called after each merged snapshot, so that its words can be found at once;
    `space_id` answers the hub's embedding space, or None while there is no model.
    """

    def __init__(
        self,
        *,
        bucket: AsyncBucket,
        store: Store,
        readers: Readers,
        agenda: Agenda,
        spool: Spool,
        disk: Disk,
        limits: Limits,
        now: Callable[[], datetime],
        space_id: Callable[[], str | None],
        on_merged: Callable[[], None],
        agents: Agents = NO_AGENTS,
    ) -> None:
        self._bucket = bucket
        self._store = store
        self.readers = readers
        self.agenda = agenda
        self.limits = limits
        self._now = now
        self._space_id = space_id
        self._on_merged = on_merged
        self._agents = agents
        self._running: dict[str, Turns] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        # First come, first served: that is what makes systems take turns.
        self._fetching = asyncio.Semaphore(limits.concurrency)
        self._merging: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._spool = spool
        self._disk = disk
        self.setbacks = Setbacks(
            store, agenda, self._merging, incomplete_max_age=limits.incomplete_max_age, now=now
        )

    async def poll(self, patience_s: float | None = None) -> PollReport:
        """One poll of everything that is due.

        What takes longer than `patience_s` goes on beside the next polls, so that no system's
        flood, and no file that is slow to read, delays another's news. Raises `TransientError` or
        `BucketRefused` where the bucket itself cannot be asked, `StoreBroken` where only a new
        process can go on; what concerns one system alone is in the report.
        """
        report = PollReport()
        self._disk.check()
        work, errors = await self.agenda.collect(self._running)
        report.errors += errors
        report.pending += len(errors)
        for system_id, turns in work.items():
            if system_id not in self._running:
                self._running[system_id] = turns
                self._tasks.add(asyncio.create_task(self._take_turns(turns, report)))
        await self._join(patience_s)
        report.pending += len(self._tasks)
        await self._tell(report)
        await self._tell_gaps(report)
        return report

    def disk_problem(self) -> str | None:
        """Why ingest pauses, where the disk is too full; None while it is not."""
        try:
            self._disk.check()
        except DiskFull as error:
            return str(error)
        return None

    async def _join(self, patience_s: float | None) -> None:
        if not self._tasks:
            return
        done, self._tasks = await asyncio.wait(self._tasks, timeout=patience_s)
        for task in done:
            task.result()

    async def close(self) -> None:
        """Stop what goes on beside the polls; it is found again. Idempotent."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _tell(self, report: PollReport) -> None:
        """Write the acks that changed. A hub that may not write to the bucket goes on without."""
        for error in await ack.write_changed(self._bucket, self._store):
            report.pending += isinstance(error, TransientError)
            report.errors.append(str(error))
            log.warning("ack.failed", error=str(error))

    async def _tell_gaps(self, report: PollReport) -> None:
        try:
            await asyncio.to_thread(gap_events.tell, self._store, set(self._running), self._now())
        except TransientError as error:
            report.errors.append(str(error))
            log.warning("gaps.not_told", error=str(error))

    async def _take_turns(self, turns: Turns, report: PollReport) -> None:
        """A system's snapshots one after the other, each waiting its turn among all systems."""
        while turns.jobs:
            await self._one(turns.take(), turns, report)
        del self._running[turns.system_id]
        if turns.head_etag is not None and not turns.postponed:
            await self._remember_head(turns, report)

    async def _remember_head(self, turns: Turns, report: PollReport) -> None:
        """Everything the head announced is merged or quarantined: it is no news any more."""
        etag = turns.head_etag
        try:
            await self._write(
                lambda connection: ledger.update_system(connection, turns.system_id, head_etag=etag)
            )
        except TransientError as error:
            _postpone(turns, report, error)
        else:
            if turns.announced_at is not None:
                LAG_SECONDS.labels("merge").observe(_since(turns.announced_at, self._now()))

    async def _one(self, job: Found | FoundBare, turns: Turns, report: PollReport) -> None:
        """Merge or quarantine one snapshot, or have it tried again."""
        try:
            if isinstance(job, Found) and job.pushed:
                async with self._fetching:
                    await compare.compare(self._bucket, self._store, job, self._now())
            else:
                await self._settle(job, report)
        except RecallError as error:
            if isinstance(error, StoreBroken):
                raise
            await self.setbacks.note_waiting(job)
            _postpone(turns, report, error)

    async def _settle(self, job: Found | FoundBare, report: PollReport) -> None:
        """Fetch, validate and merge a snapshot; what it does wrong puts it into quarantine.

        Raises `TransientError` and `BucketRefused` for what is not the snapshot's fault.
        """
        try:
            self._disk.check()
            outcome = await self._ingest(job)
        except ObjectNotFound as error:
            if isinstance(job, Found) and job.etag is not None:
                report.quarantined += await self.setbacks.wait(job, SnapshotIncomplete(str(error)))
        except SnapshotIncomplete as error:
            report.quarantined += await self.setbacks.wait(job, error)
        except (TransientError, BucketRefused, StoreBroken):
            raise
        except (OSError, MemoryError) as error:
            raise HubStrained(f"this machine refused: {error}") from error
        except Exception as error:
            # Whatever a snapshot brings up here, it must not stop the other systems.
            reason = setbacks.reason(error, job.system_id)
            report.quarantined += await self.setbacks.quarantine(job, reason)
        else:
            report.merged += 1
            report.changed_rows += outcome.changed
            log.info(
                "snapshot.merged",
                place=str(outcome.place),
                rows=outcome.rows,
                deletes=outcome.deletes,
                changed=outcome.changed,
            )
            self._on_merged()

    async def _ingest(self, job: Found | FoundBare) -> Outcome:
        with self._spool.folder() as folder:
            limit = self.limits.max_snapshot_bytes
            async with self._fetching:
                if isinstance(job, Found):
                    fetching = fetch.fetch_snapshot(self._bucket, job, folder, max_bytes=limit)
                else:
                    fetching = fetch.fetch_bare(self._bucket, job, folder, max_bytes=limit)
                spooled = await fetching
            origin: ledger.Origin = "bucket" if isinstance(job, Found) else "bare"
            return await self._ingest_spooled(spooled, origin, folder)

    async def receive(self, pushed: Spooled) -> Outcome:
        """Merge a snapshot that was pushed: it is durable when this returns, and the index follows.

        Idempotent, also against the same snapshot from the bucket. Raises `SnapshotClash` where
        another snapshot has its number, `SnapshotQuarantined` where it cannot be read, and
        `TransientError` for what is not its fault.
        """
        self._disk.check()
        try:
            with self._spool.folder() as folder:
                outcome = await self._ingest_spooled(pushed, "push", folder)
        except (TransientError, StoreBroken, SnapshotClash):
            raise
        except (OSError, MemoryError) as error:
            raise HubStrained(f"this machine refused: {error}") from error
        except Exception as error:
            outcome = await self._refuse_pushed(pushed, error)
        self._on_merged()
        return outcome

    async def _refuse_pushed(self, pushed: Spooled, error: Exception) -> Outcome:
        """Quarantine a pushed snapshot, unless the bucket has brought it in the meantime."""
        reason = setbacks.reason(error, pushed.system_id)
        entry = receive.new_entry(pushed, self._now())
        settled = await self.setbacks.put_in_quarantine(entry, reason)
        if settled.state == "merged":
            receive.merged_before(self._store, pushed, "push", self._now())
            return merge.settled(settled)
        raise SnapshotQuarantined(
            f"snapshot {entry.place} cannot be read: {reason}",
            hint="it is in quarantine; push it again, or upload it to the bucket",
        ) from error

    async def _ingest_spooled(
        self, spooled: Spooled, origin: ledger.Origin, folder: Path
    ) -> Outcome:
        ticket = Ticket(origin, self._space_id(), self._now(), self._agents)
        whole = receive.is_whole(spooled)
        read = None
        if spooled.files:
            request = ReadRequest(
                files=tuple(InputFile(f.path, f.format, f.rows) for f in spooled.files),
                contract=spooled.is_contract,
                embedding_dim=spooled.embedding.dim if spooled.embedding else None,
                time_zone=self.limits.time_zone,
                output=folder / "rows.arrow",
                whole=whole,
            )
            reader = self.readers.whole if whole else self.readers.contract
            read = await reader.read(request)
        if origin == "push":
            receive.check_counts(spooled, read)
        # One merge of a system at a time: a push and a poll may bring the same snapshot.
        async with self._merging[spooled.system_id]:
            return await asyncio.to_thread(self._merge, spooled, read, ticket)

    def _merge(self, spooled: Spooled, read: ReadResult | None, ticket: Ticket) -> Outcome:
        """Merge, unless the same snapshot was merged while this one was read."""
        known = receive.merged_before(self._store, spooled, ticket.origin, ticket.now)
        if known is not None:
            return merge.settled(known)
        outcome = merge.merge_snapshot(self._store, spooled, read, ticket)
        SNAPSHOTS.labels("merged").inc()
        ROWS_MERGED.inc(outcome.changed)
        SYNC_LATENCY_SECONDS.observe(_since(spooled.created_at or ticket.now, self._now()))
        return outcome

    async def _write(self, work: Callable[[Connection], None]) -> None:
        await asyncio.to_thread(self._store.write, work)


def _since(then: datetime, now: datetime) -> float:
    """Seconds; none where the two clocks differ by more than lies between."""
    return max((now - then).total_seconds(), 0.0)


def _postpone(turns: Turns, report: PollReport, error: Exception) -> None:
    turns.postponed = True
    report.pending += 1
    report.errors.append(str(error))
    SNAPSHOTS.labels("postponed").inc()
    log.warning("snapshot.postponed", system_id=turns.system_id, error=str(error))
