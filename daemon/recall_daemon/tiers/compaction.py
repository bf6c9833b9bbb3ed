"""Small cold files become one, and files with many dead rows are written anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa

from recall_daemon.store import cold_files
from recall_daemon.store.cold_files import SORTED_BY, ColdFile, Usage
from recall_daemon.store.store import Store
from recall_daemon.tiers.ageing import BATCH_ROWS, Told
from recall_daemon.tiers.cold_store import ColdStore
from recall_daemon.tiers.errors import ColdDamaged

TARGET_ROWS = BATCH_ROWS
TARGET_BYTES = 8 << 20
SMALL_SHARE = 0.25
DEAD_SHARE = 0.3
# Fewer small files are left alone: else each hour's file would be rewritten with the one before.
MERGED_AT_ONCE = 4


@dataclass(frozen=True)
class Compacted:
    """What a run did. `damaged`: a sentence for each file that could not be read, and stays."""

    files: int = 0
    rows: int = 0
    damaged: list[str] = field(default_factory=list)


class Compaction:
    """Rewrites cold files; the old objects stay until a sweep finds that nothing needs them."""

    def __init__(self, store: Store, cold: ColdStore, *, now: Callable[[], datetime]) -> None:
        self._store = store
        self._cold = cold
        self._now = now

    def run(self, told: Told) -> Compacted:
        """Rewrite what is worth it. Idempotent. Raises what the bucket raises."""
        with self._store.read() as connection:
            files = cold_files.usage(connection)
        self._store.write(
            lambda c: cold_files.retire(c, [f.file_no for f in files if not f.live], self._now())
        )
        return self.rewrite(plan(files), told)

    def rewrite(self, groups: Sequence[Sequence[int]], told: Told) -> Compacted:
        """Write the live rows of each group of files into one new file, whatever their share.

        A file of which nothing is live is retired alone.
        """
        rows = done = 0
        damaged: list[str] = []
        for number, group in enumerate(groups, start=1):
            moved, broken = self._rewrite(group)
            rows += moved
            done += len(group) - len(broken)
            damaged += broken
            told(number, len(groups), "compacting cold files")
        return Compacted(done, rows, damaged)

    def _rewrite(self, group: Sequence[int]) -> tuple[int, list[str]]:
        with self._store.read() as connection:
            files = cold_files.find(connection, group)
        tables, damaged, old = [], [], []
        for file in files.values():
            try:
                tables.append(self._live_rows(file))
                old.append(file.file_no)
            except ColdDamaged as error:
                damaged.append(str(error))
        live = pa.concat_tables(tables) if tables else None
        if live is None or not live.num_rows:
            self._store.write(lambda c: cold_files.retire(c, old, self._now()))
            return 0, damaged
        live = live.sort_by([(name, "ascending") for name in SORTED_BY])
        new = self._cold.put(live.drop_columns(["old_file", "old_row"]))
        moved = live.select(["row_id", "old_file", "old_row"])
        moved = moved.append_column("cold_row", pa.array(range(live.num_rows), pa.int64()))
        count = self._store.write(lambda c: cold_files.repoint(c, new, moved, old, self._now()))
        return count, damaged

    def _live_rows(self, file: ColdFile) -> pa.Table:
        """What the store still needs of a file, with the place of each row in it."""
        with self._store.read() as connection:
            needed = cold_files.pointing(connection, file.file_no)
        rows = self._cold.read(file).take(needed["cold_row"])
        keys = ["row_id", "content_hash"]
        if not rows.select(keys).equals(needed.select(keys)):
            raise ColdDamaged(f"the cold file {file.key} has other rows than the store needs")
        old_file = pa.array([file.file_no] * rows.num_rows, pa.int64())
        return rows.append_column("old_file", old_file).append_column("old_row", needed["cold_row"])


def plan(files: Sequence[Usage]) -> list[list[int]]:
    """Which files to rewrite together: neighbours in age, up to a full file's rows and bytes."""
    wanted = [file for file in files if file.live and (_is_dead(file) or _is_small(file))]
    groups = _grouped(wanted)
    return [
        [file.file_no for file in group]
        for group in groups
        if len(group) >= MERGED_AT_ONCE or any(_is_dead(file) for file in group)
    ]


def _grouped(files: Sequence[Usage]) -> Iterator[list[Usage]]:
    group: list[Usage] = []
    for file in files:
        full = [*group, file]
        rows, size = sum(f.live for f in full), sum(_live_bytes(f) for f in full)
        if group and (rows > TARGET_ROWS or size > TARGET_BYTES):
            yield group
            full = [file]
        group = full
    if group:
        yield group


def _is_dead(file: Usage) -> bool:
    return file.live < file.rows * (1 - DEAD_SHARE)


def _is_small(file: Usage) -> bool:
    return file.live < SMALL_SHARE * TARGET_ROWS and _live_bytes(file) < SMALL_SHARE * TARGET_BYTES


def _live_bytes(file: Usage) -> float:
    return file.size * file.live / max(file.rows, 1)
