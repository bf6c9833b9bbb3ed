"""Forgotten memories in cold files and backups: where they are, and taking them out."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence

from recall_daemon.backup.backup import Backups
from recall_daemon.jobs import Progress
from recall_daemon.memory.remains import Holder
from recall_daemon.store import cold_files, selection
from recall_daemon.store.cold_files import ColdFile
from recall_daemon.store.selection import Row
from recall_daemon.store.store import Store
from recall_daemon.tiers import cold_object
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
        return self._looked_into(list(files.values()), row_ids)

    def _looked_into(
        self, files: Sequence[ColdFile], row_ids: Collection[int]
    ) -> dict[int, Holder]:
        ordered = sorted(row_ids)
        likely = [file for file in files if _may_hold(file, ordered)]
        is_few = len(likely) <= LOOK_FILES
        found: dict[int, Holder] = {}
        for file in likely:
            rows = self._rows(file, row_ids) if is_few else None
            if rows is None or rows:
                found[file.file_no] = Holder(file.key, "cold", rows)
        return found

    def _rows(self, file: ColdFile, row_ids: Collection[int]) -> int | None:
        try:
            there = self._cold.read(file)["row_id"].to_pylist()
        except ColdDamaged:
            return None
        return len(set(there) & set(row_ids))

    def renew(self) -> list[str]:
        """Write the files in use anew that hold anything forgotten, so that no range that is
        fetched for another row brings it back to this disk. The old objects stay, retired.

        Idempotent; returns a sentence for each file that is damaged. Raises what the bucket raises.
        """
        with self._store.read() as connection:
            dead = cold_files.find(connection, selection.files_with_dead_rows(connection))
            in_use = [file for file in dead.values() if file.retired_at is None]
            gone = selection.forgotten_ids(connection) if in_use else set()
        held = self._looked_into(in_use, gone)
        return self.rewrite(list(held)) if held else []

    def rewrite(self, file_nos: Sequence[int]) -> list[str]:
        """Write the live rows of these files into new ones; a sentence for each that is damaged."""
        with self._store.read() as connection:
            files = cold_files.find(connection, file_nos)
        open_ = [[file.file_no] for file in files.values() if file.retired_at is None]
        return list(self._tiers.compaction.rewrite(open_, nothing_told).damaged)

    def drop(self, file_nos: Sequence[int], backups: Backups) -> list[str]:
        """Delete what neither a row nor a backup needs of these; returns the keys."""
        return self._tiers.sweep.drop(file_nos, backups.named_cold_keys)


def _may_hold(file: ColdFile, ordered: Sequence[int]) -> bool:
    """By the least and the highest row id of each row group, which the store knows."""
    metadata = cold_object.layout_of(file.size, file.footer).metadata
    for number in range(metadata.num_row_groups):
        told = metadata.row_group(number).column(0).statistics
        at = bisect_left(ordered, told.min)
        if at < len(ordered) and ordered[at] <= told.max:
            return True
    return False


def older_backups(backups: Backups, rows: Collection[Row]) -> list[str]:
    """The ids of the backups that hold content of these rows; their keys carry them. Newest first.

    All for a row that is not forgotten yet. Else those that were copied before its change, and
    those that were made before it by the clock: a store that was restored from an earlier backup
    gives numbers again that later ones of the hub before it have used.
    """
    made = backups.manifests()
    if any(row.state != "forgotten" for row in rows):
        return [told.backup_id for told in made]
    last_change = max((row.change_no for row in rows), default=0)
    settled = [row.settled_at for row in rows if row.settled_at is not None]
    return [
        told.backup_id
        for told in made
        if told.change_no < last_change or (settled and told.created_at < max(settled))
    ]


def replace_backups(backups: Backups, older: Sequence[str]) -> None:
    """Make a backup, then delete the older ones, and what one that was cut off has left.

    Raises what `Backups.run` raises.
    """
    if older:
        backups.run(Progress())
    for name in older:
        backups.delete(name)
    backups.clean()
