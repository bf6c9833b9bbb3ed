"""Forgetting: rows, log, search, disk; then what the bucket still holds."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from recall_daemon.backup.archive import Archive
from recall_daemon.jobs import Job, Progress
from recall_daemon.memory import erase, remains
from recall_daemon.memory.criteria import Criteria
from recall_daemon.memory.erase import ColdFiles
from recall_daemon.memory.remains import Holder
from recall_daemon.memory.select import ColdTexts, Selected, select
from recall_daemon.memory.snapshots import SnapshotRewriter
from recall_daemon.store import journal, ledger
from recall_daemon.store.forget import forget_rows
from recall_daemon.store.ledger import Place
from recall_daemon.store.selection import Row
from recall_daemon.store.store import Connection, Store
from recall_wire.errors import TransientError

log = structlog.get_logger(__name__)

Json = dict[str, Any]

BATCH_ROWS = 1_000
IDS_TOLD = 100
FOLDER = "spool-forget"
# Set with the rows, cleared when no file of the data folder holds a byte of them any more.
PURGE_DUE = "purge_due"
PURGE_EVERY = timedelta(minutes=1)


@dataclass(frozen=True)
class LocalCopies:
    """What else than the store has texts on this machine.

    `follow` has searches forget at once, `purge_index` the index's files, `clear_cache` the cache
    of cold texts; `pushing` are the systems with an open push.
    """

    follow: Callable[[], object]
    purge_index: Callable[[], object]
    clear_cache: Callable[[], None]
    pushing: Callable[[], set[str]]


class Forgetting:
    """Blocking; safe from several threads, one forgets at a time."""

    def __init__(
        self,
        store: Store,
        archive: Archive,
        cold: ColdFiles,
        *,
        cold_texts: ColdTexts,
        copies: LocalCopies,
        data_dir: Path,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._archive = archive
        self._cold = cold
        self._cold_texts = cold_texts
        self._copies = copies
        self._folder = data_dir / FOLDER
        self._now = now
        self._one = threading.Lock()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def job(self) -> Job:
        """Finishes what a crash, or a reader that was in the way, left on the disk."""
        return Job("purge", PURGE_EVERY, lambda progress: self.purge(), self.is_purge_due)

    def forget(self, criteria: Criteria, *, rewrite: bool = False, dry_run: bool = False) -> Json:
        """Forget what meets the criteria for ever, and return the receipt.

        When this returns, the rows are gone from searches and store, the bucket's log says so, and
        the receipt names what in the bucket still holds them. With `rewrite` they are taken out
        there too. Doing it again does what is left. `dry_run` changes nothing.

        Raises `NothingToForget`, `ForgetHeld`, `LogNotShipped` (they are forgotten here, the log
        does not have it yet), and what the bucket raises: doing it again goes on.
        """
        with self._one, self._scratch():
            chosen = select(self._store, self._cold_texts, criteria)
            if dry_run:
                return self._receipt(chosen, self._remaining(chosen), dry_run=True)
            self._forget_rows(chosen.to_forget)
            self._copies.follow()
            self._archive.log.ship_now()
            notes = self._purged()
            left = self._remaining(chosen)
            if rewrite:
                left, more = self._rewrite(chosen, left)
                notes += more
            return self._receipt(chosen, left, notes=notes)

    def is_purge_due(self) -> bool:
        with self._store.read() as connection:
            return bool(ledger.fact(connection, PURGE_DUE))

    def purge(self) -> None:
        """Leave no byte of what was forgotten in the data folder. Idempotent.

        Raises `StoreFailed` where a long read is in the way, `DiskFull`.
        """
        with self._store.read() as connection:
            due = ledger.fact(connection, PURGE_DUE)
        self._copies.clear_cache()
        self._store.rewrite()
        self._copies.purge_index()
        self._store.write(lambda connection: _settle(connection, due))

    def _purged(self) -> list[str]:
        if not self.is_purge_due():
            return []
        try:
            self.purge()
        except TransientError as error:
            log.warning("purge.postponed", error=str(error))
            return [f"the data folder still holds freed bytes of it, until the next try: {error}"]
        return []

    def _forget_rows(self, rows: Sequence[Row]) -> None:
        for start in range(0, len(rows), BATCH_ROWS):
            batch = [(row.system_id, row.memory_id) for row in rows[start : start + BATCH_ROWS]]

            def work(connection: Connection, batch: list[tuple[str, str]] = batch) -> None:
                now = self._now()
                number = journal.append(connection, "forget", {"identities": batch}, now)
                forget_rows(connection, batch, number, now)
                ledger.set_fact(connection, PURGE_DUE, str(number))

            self._store.write(work)

    def _remaining(self, chosen: Selected) -> _Left:
        by_system = chosen.by_system
        with self._store.read() as connection:
            merged = ledger.merged_places(connection, by_system)
        holders = remains.in_snapshots(self._archive.bucket, by_system, merged, self._folder)
        return _Left(
            holders,
            self._cold.holding(chosen.row_ids),
            erase.older_backups(self._archive.backups, self._forgotten_at(chosen)),
        )

    def _forgotten_at(self, chosen: Selected) -> datetime:
        """A backup made later holds none of them."""
        if chosen.to_forget:
            return self._now()
        return max(row.settled_at or self._now() for row in chosen.gone)

    def _rewrite(self, chosen: Selected, left: _Left) -> tuple[_Left, list[str]]:
        rewriter = SnapshotRewriter(self._store, self._archive.bucket, self._folder)
        snapshots = [
            _kept(holder, rewriter.take_out(_place(holder), chosen.by_system[holder.system_id]))
            if holder.kind == "snapshot" and holder.system_id is not None
            else holder
            for holder in left.snapshots
        ]
        notes = self._cold.rewrite(list(left.cold)) if left.cold else []
        erase.replace_backups(self._archive.backups, left.backups, Progress())
        dropped = set(self._cold.drop(list(left.cold), self._archive.backups)) if left.cold else ()
        cold = {number: holder for number, holder in left.cold.items() if holder.key not in dropped}
        taken = [h.key for h in left.snapshots if h.key not in {s.key for s in snapshots if s.kept}]
        done = [*taken, *dropped, *(f"backup {name}" for name in left.backups)]
        still = [holder for holder in snapshots if holder.kept]
        return replace(left, snapshots=still, cold=cold, backups=[], rewritten=done), notes

    def _receipt(
        self, chosen: Selected, left: _Left, *, dry_run: bool = False, notes: Collection[str] = ()
    ) -> Json:
        """What was done, and what still holds it."""
        new = chosen.to_forget
        pushing = self._copies.pushing() & set(chosen.by_system)
        said = [*notes]
        if chosen.unread:
            said.append(f"the texts of {chosen.unread} cold memories are lost: they were not asked")
        if pushing:
            said.append(f"a push is open that may bring it here again as bytes: {sorted(pushing)}")
        return {
            "dry_run": dry_run,
            "forgotten": len(new),
            "forgotten_before": len(chosen.gone),
            "systems": {
                name: sum(row.system_id == name for row in new) for name in sorted(chosen.by_system)
            },
            "ids": [f"{row.system_id}/{row.memory_id}" for row in new[:IDS_TOLD]],
            "ids_left_out": max(len(new) - IDS_TOLD, 0),
            "still_in": [h.to_json() for h in (*left.snapshots, *left.cold.values())],
            "older_backups": left.backups,
            "rewritten": left.rewritten,
            "notes": said,
        }

    @contextmanager
    def _scratch(self) -> Iterator[None]:
        """The folder for files on their way: empty before, gone afterwards."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(mode=0o700, parents=True)
        try:
            yield
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)


@dataclass(frozen=True)
class _Left:
    """What in the bucket holds them: objects of snapshots, cold files by number, backups."""

    snapshots: list[Holder]
    cold: dict[int, Holder]
    backups: list[str]
    rewritten: Sequence[str] = ()


def _settle(connection: Connection, due: str | None) -> None:
    """Nothing is due, unless something was forgotten meanwhile."""
    if ledger.fact(connection, PURGE_DUE) == due:
        ledger.set_fact(connection, PURGE_DUE, "")


def _place(holder: Holder) -> Place:
    return Place(holder.system_id or "", holder.seq or 0)


def _kept(holder: Holder, why: str | None) -> Holder:
    return replace(holder, kept=why)
