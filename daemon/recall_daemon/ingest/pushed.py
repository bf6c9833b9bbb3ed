"""Pushing: open, stage batches, commit. Each step may be repeated, and a cut push goes on."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal
from weakref import WeakValueDictionary

import structlog

from recall_daemon.errors import (
    BatchCorrupt,
    PushBusy,
    PushHeld,
    PushNotOpen,
    SnapshotClash,
    SnapshotQuarantined,
)
from recall_daemon.ingest import ack, receive
from recall_daemon.ingest.fetch import Spooled
from recall_daemon.ingest.merge import Outcome
from recall_daemon.ingest.staging import Batch, Push, Staging
from recall_daemon.metrics import PUSHES
from recall_daemon.store import ledger
from recall_daemon.store.ledger import Entry, Place
from recall_daemon.store.store import Store
from recall_wire.buckets.receiving import CHUNK_BYTES, NewFile
from recall_wire.errors import LimitExceeded
from recall_wire.manifest import Ack, Manifest, sha256_hex

log = structlog.get_logger(__name__)

BATCH_MAX_BYTES = 256 << 20  # one text may have 64 MiB
OPEN_MAX = 4  # pushes of one system
IN_FLIGHT_MAX = 4  # batches of one system
MERGES_AT_ONCE = 2  # of all systems; polls have readers of their own turn besides
EXPIRES_AFTER = timedelta(hours=24)
# Two instances that believe to be the same system: for so long the first one has its number. Later
# it is taken for gone, so that whoever lost its state need not wait for a day.
HELD_FOR = timedelta(minutes=10)

State = Literal["open", "merged", "dropped"]


@dataclass(frozen=True)
class Opened:
    """`have`: what is on the disk already. Anything but `open` leaves nothing to do."""

    state: State
    have: tuple[Batch, ...] = ()


@dataclass(frozen=True)
class Committed:
    """`dropped`: the hub's operator gave the snapshot up; nothing was merged."""

    state: State
    rows: int = 0
    deletes: int = 0
    changed: int = 0


@dataclass(frozen=True)
class Standing:
    """What the hub has of a system, whichever way it came."""

    highest_seq: int = 0
    manifest_sha256: str | None = None
    machine: str | None = None
    instance_id: str | None = None
    ack: Ack = field(default_factory=lambda: Ack(complete_to=0))


class Pushes:
    """The hub's side of pushing. A snapshot's place, rows and ledger entry are those it has when it
    comes from the bucket; `merge` is the pipeline's.

    `ship_log` has the bucket's log say what was forgotten, or leaves it for later where the bucket
    is away: the instance keeps what it pushed until the bucket has it.
    """

    def __init__(
        self,
        *,
        store: Store,
        staging: Staging,
        merge: Callable[[Spooled], Awaitable[Outcome]],
        ship_log: Callable[[], Awaitable[None]],
        check_disk: Callable[[], None],
        max_bytes: int,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._staging = staging
        self._merge = merge
        self._ship_log = ship_log
        self._check_disk = check_disk
        self.max_bytes = max_bytes
        self._now = now
        self._locks: WeakValueDictionary[Place, asyncio.Lock] = WeakValueDictionary()
        self._in_flight: Counter[str] = Counter()
        # First come, first served, and few: the pool of readers is the polls' as well.
        self._merging = asyncio.Semaphore(MERGES_AT_ONCE)

    def standing(self, system_id: str) -> Standing:
        """Read-only. Blocking."""
        with self._store.read() as connection:
            system = ledger.systems(connection, system_id=system_id).get(system_id)
            if system is None:
                return Standing()
            known = ledger.known_seqs(connection, system_id)
            seqs = [seq for seq, entry in known.items() if entry.in_order]
            highest = max([*seqs, system.head_seq or 0], default=0)
            entry = ledger.find(connection, Place(system_id, highest))
            return Standing(
                highest_seq=highest,
                manifest_sha256=entry.manifest_sha256 if entry else None,
                machine=system.machine,
                instance_id=system.instance_id,
                ack=ack.acks(connection, system_id=system_id)[system_id],
            )

    async def open(self, place: Place, data: bytes) -> Opened:
        """Begin a push, or go on with one: `data` is the manifest.

        Raises `ManifestInvalid`, `SnapshotInvalid`, `SnapshotClash`, `SeqRefused`, `PushHeld`,
        `DiskFull`.
        """
        manifest = receive.parse_pushed(place, data, max_bytes=self.max_bytes)
        async with self._lock(place), self._clashes_told(place):
            settled = await self._settled(place, manifest, sha256_hex(data))
            if settled is not None:
                return Opened(_state(settled))
            self._check_disk()
            self._check_held(place, manifest)
            others = self._staging.others(place)
            for other in others[: max(0, len(others) + 1 - OPEN_MAX)]:
                await self._evict(other)
            push = await asyncio.to_thread(self._staging.open, place, manifest, data, self._now())
            return Opened("open", tuple(batch for _, batch in sorted(push.batches.items())))

    @contextlib.asynccontextmanager
    async def _clashes_told(self, place: Place) -> AsyncIterator[None]:
        """A push that is refused because the hub has another snapshot is a conflict to hear of."""
        try:
            yield
        except SnapshotClash:
            await asyncio.to_thread(receive.note_clash, self._store, place, self._now())
            raise

    def _check_held(self, place: Place, manifest: Manifest) -> None:
        push = self._staging.find(place)
        if push is None or push.manifest.instance_id == manifest.instance_id:
            return
        if self._now() - push.touched_at <= HELD_FOR:
            raise PushHeld(
                f"another instance is pushing snapshot {place.seq} of {place.system_id}",
                hint="give each instance a system id of its own",
            )

    async def stage(
        self, place: Place, batch: Batch, manifest_sha256: str, body: AsyncIterator[bytes]
    ) -> None:
        """Take one batch: it is on the disk when this returns, or nothing of it is kept.

        Idempotent; other bytes under its number replace it. Nothing but a file of its own is held
        while the body comes in. Raises `PushNotOpen`, `PushBusy`, `BatchCorrupt`, `LimitExceeded`,
        `DiskFull`.
        """
        self._find(place, manifest_sha256)
        with self._in_flight_of(place.system_id), self._staging.part() as part:
            sha256 = await self._receive(part, body, f"batch {batch.number} of {place}")
            if sha256 != batch.sha256:
                raise BatchCorrupt(
                    f"batch {batch.number} of {place} came with sha256 {sha256[:16]}…, "
                    f"not the {batch.sha256[:16]}… told",
                    hint="send it again",
                )
            async with self._lock(place):
                push = self._find(place, manifest_sha256)
                await self._make_room(push, part.stat().st_size - push.sizes.get(batch.number, 0))
                await asyncio.to_thread(self._staging.keep, push, part, batch, self._now())

    async def _make_room(self, push: Push, more: int) -> None:
        """See to it that a system's pushes stay within the bounds; its other ones go first."""
        if push.bytes + more > self.max_bytes:
            raise LimitExceeded(
                f"the batches of snapshot {push.place} have more than {self.max_bytes} bytes",
                hint="this hub takes no larger snapshot (max_snapshot_bytes)",
            )
        others = self._staging.others(push.place)
        total = push.bytes + more + sum(other.bytes for other in others)
        for other in others:
            if total <= self.max_bytes:
                return
            total -= other.bytes if await self._evict(other) else 0

    async def _evict(self, push: Push) -> bool:
        """Remove a push that nothing is being done to. Its client is told to open it again."""
        if self._is_busy(push.place):
            return False
        async with self._lock(push.place):  # free: so this waits for nobody
            await self._remove(push.place)
        log.info("push.removed", place=str(push.place))
        return True

    async def _receive(self, part: Path, body: AsyncIterator[bytes], what: str) -> str:
        with NewFile(part, max_bytes=BATCH_MAX_BYTES, what=what) as file:
            gathered = bytearray()
            async for chunk in body:
                gathered += chunk
                if len(gathered) >= CHUNK_BYTES:
                    self._check_disk()
                    await asyncio.to_thread(file.write, bytes(gathered))
                    gathered.clear()
            self._check_disk()
            await asyncio.to_thread(file.write, bytes(gathered))
            return file.sha256()

    @contextlib.contextmanager
    def _in_flight_of(self, system_id: str) -> Iterator[None]:
        if self._in_flight[system_id] >= IN_FLIGHT_MAX:
            raise PushBusy(
                f"{IN_FLIGHT_MAX} batches of {system_id} are coming in already",
                hint="send fewer at once",
            )
        self._in_flight[system_id] += 1
        try:
            yield
        finally:
            self._in_flight[system_id] -= 1
            if not self._in_flight[system_id]:
                del self._in_flight[system_id]

    async def commit(self, place: Place, manifest_sha256: str, digests: Sequence[str]) -> Committed:
        """Merge the batches with these digests, in their order: durable when this returns.

        Idempotent. Raises `BatchesMissing`, `PushNotOpen`, `SnapshotClash`, `SnapshotQuarantined`
        and what may pass by itself, after which the batches are still staged.
        """
        async with self._lock(place), self._clashes_told(place):
            staged = self._staging.find(place)
            is_staged = staged is not None and staged.manifest_sha256 == manifest_sha256
            manifest = staged.manifest if staged is not None and is_staged else None
            settled = await self._settled(place, manifest, manifest_sha256)
            if settled is not None:
                return await self._done(settled.deletes, _state(settled), settled.rows)
            push = self._find(place, manifest_sha256)
            spooled = receive.spool_pushed(push, push.named(digests))
            try:
                async with self._merging:
                    outcome = await self._merge(spooled)
            except (SnapshotQuarantined, SnapshotClash):
                PUSHES.labels("refused").inc()
                await self._remove(place)
                raise
            await self._remove(place)
            return await self._done(outcome.deletes, "merged", outcome.rows, outcome.changed)

    async def _done(self, deletes: int, state: State, rows: int, changed: int = 0) -> Committed:
        """The answer to a commit, once the bucket's log had its chance to say what is forgotten."""
        PUSHES.labels(state).inc()
        if deletes:
            await self._ship_log()
        return Committed(state, rows, deletes, changed)

    def systems(self) -> set[str]:
        """The systems that have a push open, whose rows lie on this disk."""
        return self._staging.systems()

    async def expire(self) -> None:
        """Remove the pushes that nobody has touched for a day."""
        for push in self._staging.pushes():
            if self._now() - push.touched_at > EXPIRES_AFTER:
                await self._evict(push)

    async def _settled(
        self, place: Place, manifest: Manifest | None, manifest_sha256: str
    ) -> Entry | None:
        """The ledger's entry where nothing is left to do; what is staged of it goes."""

        def look() -> Entry | None:
            with self._store.read() as connection:
                return receive.standing(connection, place, manifest, manifest_sha256)

        settled = await asyncio.to_thread(look)
        if settled is not None:
            await self._remove(place)
        return settled

    def _find(self, place: Place, manifest_sha256: str) -> Push:
        push = self._staging.find(place)
        if push is None or push.manifest_sha256 != manifest_sha256:
            raise PushNotOpen(
                f"no push of snapshot {place.seq} of {place.system_id} with that manifest is open",
                hint="send its manifest first",
            )
        return push

    async def _remove(self, place: Place) -> None:
        await asyncio.to_thread(self._staging.remove, place)

    def _lock(self, place: Place) -> asyncio.Lock:
        """One thing at a time is done to a push. A lock lives as long as somebody holds it."""
        lock = self._locks.get(place)
        if lock is None:
            lock = self._locks[place] = asyncio.Lock()
        return lock

    def _is_busy(self, place: Place) -> bool:
        lock = self._locks.get(place)
        return lock is not None and lock.locked()


def _state(settled: Entry) -> State:
    return "merged" if settled.state in ("merged", "merging") else "dropped"
