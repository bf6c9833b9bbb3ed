"""The only place that deletes cold objects: those that no row and no backup needs."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from functools import partial

from recall_daemon.store import cold_files
from recall_daemon.store.store import Connection, Store
from recall_daemon.tiers.cold_store import ColdStore
from recall_wire import layout
from recall_wire.buckets.multipart import abort_stale

# A search that began before may still read an object; and what an upload brought is registered
# long before a day is over.
KEEP_AT_LEAST = timedelta(days=1)

# The keys that retained backups need.
NamedByBackups = Callable[[], set[str]]


class Sweep:
    """Deletes retired and orphaned objects."""

    def __init__(
        self,
        store: Store,
        cold: ColdStore,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._cold = cold
        self._now = now

    def run(self, named_by_backups: NamedByBackups, keep: timedelta = KEEP_AT_LEAST) -> int:
        """Delete what has not been needed for `keep`; returns how many objects. Idempotent.

        Raises what the bucket raises; nothing goes while it is not known what backups need.
        """
        before = self._now() - keep
        named = named_by_backups()
        deleted = self._retired(before, named) + self._orphans(before, named)
        abort_stale(self._cold.bucket, layout.cold_prefix(self._cold.hub_id), before)
        return deleted

    def drop(self, file_nos: Collection[int], named_by_backups: NamedByBackups) -> list[str]:
        """Delete those of these files that are retired and that no backup names, at once.

        A search that is reading one gives its hit without the text. Returns their keys. Idempotent.
        """
        named = named_by_backups()
        with self._store.read() as connection:
            files = cold_files.find(connection, file_nos).values()
        free = [file for file in files if file.retired_at is not None and file.key not in named]
        for file in free:
            self._cold.delete(file.key)
            self._store.write(partial(_removed, file.file_no))
        return [file.key for file in free]

    def _retired(self, before: datetime, named: set[str]) -> int:
        with self._store.read() as connection:
            files = cold_files.retired(connection, before)
        free = [file for file in files if file.key not in named]
        for file in free:
            # The object first: the other way round, a crash would leave one that nobody knows of.
            self._cold.delete(file.key)
            self._store.write(partial(_removed, file.file_no))
        return len(free)

    def _orphans(self, before: datetime, named: set[str]) -> int:
        """Objects of uploads that were never registered."""
        prefix = layout.cold_prefix(self._cold.hub_id)
        pages = self._cold.bucket.list(prefix)
        old = [item.key for page in pages for item in page.objects if item.modified_at < before]
        with self._store.read() as connection:
            known = cold_files.keys(connection)
        orphans = [key for key in old if key not in known and key not in named]
        for key in orphans:
            self._cold.delete(key)
        return len(orphans)


def _removed(file_no: int, connection: Connection) -> None:
    cold_files.remove(connection, file_no)
