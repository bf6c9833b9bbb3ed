"""Old versions and deleted content: kept for a while, and then no longer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from recall_daemon.jobs import Progress
from recall_daemon.store import old_versions
from recall_daemon.store.store import Store

HISTORY: Final = "history"
PURGE: Final = "purge-deleted"

# Versions of one transaction, and deletions between two looks at whether the hub is stopping.
VERSIONS: Final = 5_000
DELETIONS: Final = 50


class History:
    """Blocking. `kept`: how long an earlier version stays after another took its place.

    `purge` lets go of the content of at most so many deletions, and returns of how many.
    """

    def __init__(
        self,
        store: Store,
        purge: Callable[[int], int],
        *,
        kept: timedelta,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._purge = purge
        self._kept = kept
        self._now = now

    def prune(self, progress: Progress) -> None:
        """Drop earlier versions that nothing needs any more. Idempotent."""
        before = self._now() - self._kept
        done = 0
        while dropped := self._store.write(lambda c: old_versions.prune(c, before, VERSIONS)):
            done += dropped
            progress.update(done, detail=f"{done} earlier versions dropped")

    def purge(self, progress: Progress) -> None:
        """Let go of the content of what was deleted too long ago to be brought back. Idempotent."""
        done = 0
        while purged := self._purge(DELETIONS):
            done += purged
            progress.update(done, detail=f"the content of {done} deletions is gone")
