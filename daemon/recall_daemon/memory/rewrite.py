"""Where in the bucket forgotten memories still are, and taking them out there."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from recall_daemon.backup.archive import Archive
from recall_daemon.backup.owner import check_owner, hub_id
from recall_daemon.memory import erase, remains
from recall_daemon.memory.erase import ColdFiles
from recall_daemon.memory.receipt import Left
from recall_daemon.memory.remains import Holder
from recall_daemon.memory.select import Selected
from recall_daemon.memory.snapshots import SnapshotRewriter
from recall_daemon.store import ledger, traces
from recall_daemon.store.ledger import Place
from recall_daemon.store.store import Store

FOLDER = "spool-forget"


class InBucket:
    """Blocking; safe from several threads: one rewrites at a time. `folder` is for files on their
    way; what a killed process left there goes at the start."""

    def __init__(self, store: Store, archive: Archive, cold: ColdFiles, data_dir: Path) -> None:
        self._store = store
        self._archive = archive
        self._cold = cold
        self._folder = data_dir / FOLDER
        self._rewriting = threading.Lock()
        shutil.rmtree(self._folder, ignore_errors=True)

    def left(self, chosen: Selected) -> Left:
        """What holds any of them. Read-only. Raises what the bucket raises."""
        by_system, bucket = chosen.by_system, self._archive.bucket
        with self._store.read() as connection:
            editors = traces.editors(connection, by_system)
            merged = ledger.merged_places(connection, {*by_system, *editors})
        with self._scratch() as folder:
            objects = remains.in_snapshots(bucket, by_system, editors, merged, folder)
        log = self._archive.log.holding(by_system, most=remains.LOOK_OBJECTS)
        objects += [Holder(key, remains.LOG, rows) for key, rows in log.items()]
        objects += remains.other_hubs(bucket, hub_id(self._store))
        cold = self._cold.holding(chosen.row_ids)
        return Left(objects, cold, erase.older_backups(self._archive.backups, chosen.rows))

    def rewrite(self, gone: Selected) -> tuple[Left, list[str]]:
        """Take them out wherever this hub may; a sentence for each cold file that is damaged.

        Idempotent: what a crash left is done by the next call. Snapshots first, then cold files,
        then backups, which name cold files, and then the old cold files themselves. Raises what the
        bucket raises, `BackupRunning`, `HubClash`.
        """
        with self._rewriting:
            check_owner(self._archive.bucket, self._store)
            left = self.left(gone)
            objects = self._snapshots(left, gone)
            in_log = self._archive.log.take_out(gone.by_system)
            damaged = self._cold.rewrite(list(left.cold)) if left.cold else []
            erase.replace_backups(self._archive.backups, left.backups)
            dropped = set(self._cold.drop(list(left.cold), self._archive.backups))
        cold = {no: holder for no, holder in left.cold.items() if holder.key not in dropped}
        kept = {holder.key for holder in objects if holder.kept}
        done = [holder.key for holder in left.objects if holder.key not in kept]
        done += [key for key in in_log if key not in done]
        done += [*sorted(dropped), *(f"backup {name}" for name in left.backups)]
        return Left([holder for holder in objects if holder.kept], cold, (), done), damaged

    def _snapshots(self, left: Left, gone: Selected) -> list[Holder]:
        by_system = gone.by_system
        with self._scratch() as folder:
            rewriter = SnapshotRewriter(self._store, self._archive.bucket, folder)

            def taken_out(holder: Holder) -> Holder:
                if holder.system_id is None or holder.seq is None:
                    return holder
                place = Place(holder.system_id, holder.seq)
                return replace(holder, kept=rewriter.take_out(place, by_system))

            return [taken_out(holder) for holder in left.objects]

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            yield Path(folder)
