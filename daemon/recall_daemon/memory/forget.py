"""Forgetting: the rows, the bucket's log, what is told; disk and bucket where that is asked for."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from recall_daemon.access.caller import LOCAL, Caller
from recall_daemon.backup.archive import Archive
from recall_daemon.backup.owner import check_owner
from recall_daemon.errors import HubClash, NothingToForget
from recall_daemon.jobs import Progress
from recall_daemon.memory.criteria import Criteria
from recall_daemon.memory.erase import ColdFiles
from recall_daemon.memory.purge import LocalCopies, Purge
from recall_daemon.memory.receipt import IDS_TOLD, Left, Notes, receipt
from recall_daemon.memory.rewrite import InBucket
from recall_daemon.memory.select import ColdTexts, Selected, forgotten_before, select
from recall_daemon.store import audit_log, selection
from recall_daemon.store.audit_log import Act
from recall_daemon.store.forget import forget_rows, note_forgotten
from recall_daemon.store.selection import Identity, Row
from recall_daemon.store.store import Connection, Store
from recall_wire.errors import TerminalError, TransientError

log = structlog.get_logger(__name__)

Json = dict[str, Any]

# In one transaction, as a snapshot's rows are: a crash leaves all of them or none.
BATCH_ROWS = 50_000

# The systems that whoever asks may reach; None for all.
Reached = frozenset[str] | None


class Forgetting:
    """Blocking; safe from several threads."""

    def __init__(
        self,
        store: Store,
        archive: Archive,
        cold: ColdFiles,
        *,
        cold_texts: ColdTexts,
        copies: LocalCopies,
        data_dir: Path,
        purge_interval: timedelta,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._archive = archive
        self._cold_texts = cold_texts
        self._copies = copies
        self._now = now
        self._one = threading.Lock()
        self._in_bucket = InBucket(store, archive, cold, data_dir)
        self.purge = Purge(store, cold, copies, interval=purge_interval, now=now)

    def forget(
        self,
        criteria: Criteria,
        *,
        rewrite: bool = False,
        dry_run: bool = False,
        purge: bool = True,
        upto_row: int | None = None,
        caller: Caller = LOCAL,
    ) -> Json:
        """Forget what meets the criteria for ever, and return the receipt.

        Of what `caller` may write: an instance forgets in its own system alone, and has no part in
        what concerns all systems, `rewrite` and `purge`; the audit log names it.

        When this returns, the rows are gone from store and searches, the bucket's log says so, and
        the receipt names what in the bucket still holds them. With `purge` no file of the data
        folder holds a byte of them either; without, the job purges when it is due. With `rewrite`
        whatever was forgotten until now, by this call or before, is taken out of the bucket's
        objects, too. Doing it again does what is left. `dry_run` changes nothing;
        with its `last_row_id` as `upto_row` no memory is forgotten that has come since.

        Where the bucket cannot be looked into, or rewritten, the receipt says `bucket: pending` and
        why. Raises `Forbidden`, `NothingToForget`, `ForgetInvalid`, `ForgetHeld` and `HubClash`
        with nothing forgotten, and `LogNotShipped`, which says what was done. Doing it again goes
        on.
        """
        within = _reach(caller, whole=rewrite or (purge and not dry_run))
        with self._one:
            last_row_id = self._last_row_id() if upto_row is None else upto_row
            chosen = self._chosen(criteria, rewrite, last_row_id, within)
            notes = Notes(
                last_row_id if within is None else None, self._saying_the_same(chosen, within)
            )
            if not dry_run:
                self._forget(chosen.to_forget, notes, caller.name)
        if dry_run:
            self._look_around(chosen, notes)
            left = self._in_bucket.left(chosen)
            return receipt(chosen, left, notes, purge_due_at=self.purge.due_at(), dry_run=True)
        if purge:
            self._purge(notes)
        self._look_around(chosen, notes)
        left = self._left(chosen, rewrite, notes)
        return receipt(chosen, left, notes, purge_due_at=self.purge.due_at(), dry_run=False)

    def _last_row_id(self) -> int:
        with self._store.read() as connection:
            return selection.last_row(connection)

    def _chosen(
        self, criteria: Criteria, rewrite: bool, upto_row: int, within: Reached
    ) -> Selected:
        chosen = select(self._store, self._cold_texts, criteria, upto_row=upto_row, within=within)
        if rewrite:
            gone = forgotten_before(self._store).gone
            chosen = Selected(chosen.to_forget, gone, chosen.unread)
        if not chosen.rows:
            lost = f" ({chosen.unread} cold ones have lost their texts)" if chosen.unread else ""
            raise NothingToForget(f"no memory is like that{lost}; nothing was forgotten")
        return chosen

    def _saying_the_same(self, chosen: Selected, within: Reached) -> tuple[int, list[Identity]]:
        """To be asked while their texts are known."""
        hashes = {row.text_hash for row in chosen.to_forget if row.text_hash is not None}
        if not hashes:
            return 0, []
        with self._store.read() as connection:
            return selection.saying_the_same(
                connection, hashes, chosen.row_ids, IDS_TOLD, systems=within
            )

    def _forget(self, rows: Sequence[Row], notes: Notes, actor: str) -> None:
        self._check_owner()
        for start in range(0, len(rows), BATCH_ROWS):
            batch = [(row.system_id, row.memory_id) for row in rows[start : start + BATCH_ROWS]]
            self._store.write(lambda c, batch=batch: _forget(c, batch, actor, self._now()))  # type: ignore[misc]
        try:
            self._copies.follow()
        except TransientError as error:
            # A hit needs its row in the store: nothing of them is shown meanwhile.
            log.warning("forget.index_behind", error=str(error))
            notes.sentences.append(f"the index follows later: {error}")
        self._archive.log.ship_now()

    def _check_owner(self) -> None:
        """Raises `HubClash`: what is forgotten in a hub that was replaced is forgotten nowhere."""
        try:
            check_owner(self._archive.bucket, self._store)
        except HubClash:
            raise
        except (TransientError, TerminalError):
            return  # shipping the log says what is wrong with the bucket

    def _purge(self, notes: Notes) -> None:
        try:
            self.purge.run(Progress())
        except (TransientError, TerminalError) as error:
            log.warning("forget.not_purged", error=str(error))
            notes.sentences.append(
                f"the data folder still holds freed bytes of it: {error}; `recalld jobs run purge` "
                "tries again"
            )

    def _left(self, chosen: Selected, rewrite: bool, notes: Notes) -> Left:
        """The rows are gone: whatever the bucket says, the receipt tells what was done."""
        gone = self._as_they_are(chosen)
        try:
            if not rewrite:
                return self._in_bucket.left(gone)
            left, damaged = self._in_bucket.rewrite(gone)
        except (TransientError, TerminalError) as error:
            log.warning("forget.bucket_left", error=str(error))
            what = "rewritten" if rewrite else "looked into"
            notes.sentences.append(
                f"the bucket could not be {what}: {error}; what of it still holds them is not "
                "known: ask again by their ids, or with rewrite, which goes on with all of them"
            )
            return Left.unknown()
        notes.sentences += damaged
        return left

    def _as_they_are(self, chosen: Selected) -> Selected:
        """Now that all are forgotten: each with the number and the time of the change."""
        ids = chosen.row_ids
        gone = forgotten_before(self._store).gone
        return Selected((), tuple(row for row in gone if row.row_id in ids))

    def _look_around(self, chosen: Selected, notes: Notes) -> None:
        """What nobody can look into now."""
        if chosen.unread:
            notes.sentences.append(
                f"the texts of {chosen.unread} cold memories are lost: they were not asked"
            )
        if self._archive.backups.is_making:
            notes.sentences.append("a backup is being made that may hold them: ask again later")
        pushing = self._copies.pushing() & set(chosen.by_system)
        if pushing:
            names = ", ".join(sorted(pushing)[:5])
            notes.sentences.append(f"a push of {names} is open: its rows lie here till it ends")


def _reach(caller: Caller, *, whole: bool) -> Reached:
    """The systems in which the caller may forget; None for all. Raises `Forbidden`."""
    caller.check_whole()
    if caller.is_admin:
        return None
    if whole or caller.system_id is None:
        caller.check_admin()
    return frozenset({str(caller.system_id)})


def _forget(
    connection: Connection, identities: list[tuple[str, str]], actor: str, now: datetime
) -> None:
    """Rows, journal and audit log, in the running transaction."""
    for number, some in note_forgotten(connection, identities, now):
        forget_rows(connection, some, number, now)
    for system_id, count in sorted(Counter(system_id for system_id, _ in identities).items()):
        act = Act(actor, "memories.forgotten", system_id, {"memories": count})
        audit_log.append(connection, act, now)
