"""Forgotten memories in cold files and backups: where they are, and taking them out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from recall_daemon.backup.backup import Backups
from recall_daemon.jobs import Progress
from recall_daemon.memory.remains import Holder
from recall_daemon.store import cold_files, selection
from recall_daemon.store.store import Store
from recall_daemon.tiers.cold_store import ColdStore
from recall_daemon.tiers.errors import ColdDamaged
from recall_daemon.tiers.tiers import Tiers, nothing_told

# More files with dead rows are not looked into: each is named as one that may hold them.
LOOK_FILES = 200


class ColdFiles:
    """Blocking."""

    def __init__(self, store: Store, cold: ColdStore, tiers: Tiers) -> None:
        self._store = store
        self._cold = cold
        self._tiers = tiers

    def holding(self, row_ids: Collection[int]) -> dict[int, Holder]:
        """The cold files that hold content of these rows, by number. Raises what the bucket raises.

        A row that is cold now counts too: it will be dead there when it is forgotten.
        """
        with self._store.read() as connection:
            dead = selection.files_with_dead_rows(connection)
            needed = {place.file_no for place in cold_files.places(connection, row_ids)}
            files = cold_files.find(connection, sorted({*dead, *needed}))
        is_few = len(files) <= LOOK_FILES
        found: dict[int, Holder] = {}
        for file_no, file in files.items():
            rows = self._rows(file, row_ids) if is_few else None
            if rows is None or rows:
                found[file_no] = Holder(file.key, "cold", rows)
        return found

    def _rows(self, file: cold_files.ColdFile, row_ids: Collection[int]) -> int | None:
        try:
            there = self._cold.read(file)["row_id"].to_pylist()
        except ColdDamaged:
            return None
        return len(set(there) & set(row_ids))

    def rewrite(self, file_nos: Sequence[int]) -> list[str]:
        """Write the live rows of these files into new ones; a sentence for each that is damaged."""
        with self._store.read() as connection:
            files = cold_files.find(connection, file_nos)
        open_ = [[file.file_no] for file in files.values() if file.retired_at is None]
        return list(self._tiers.compaction.rewrite(open_, nothing_told).damaged)

    def drop(self, file_nos: Sequence[int], backups: Backups) -> list[str]:
        """Delete what neither a row nor a backup needs of these; returns the keys."""
        return self._tiers.sweep.drop(file_nos, backups.named_cold_keys)


def older_backups(backups: Backups, forgotten_at: datetime) -> list[str]:
    """The ids of the backups that were made before; their keys carry them. Newest first."""
    return [told.backup_id for told in backups.manifests() if told.created_at <= forgotten_at]


def replace_backups(backups: Backups, older: Sequence[str], progress: Progress) -> None:
    """Make a backup, then delete the older ones. Raises what `Backups.run` raises."""
    backups.run(progress)
    for name in older:
        backups.delete(name)
