"""What was forgotten leaves the data folder byte by byte: beside everything else, and at leisure.

A forget takes the rows away at once; their bytes stay in freed places of the store's file and in
deleted documents of the index until both are written anew, which takes as long as there are rows.
Forgets in a row share one purge.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from recall_daemon.jobs import Job, Progress
from recall_daemon.memory.erase import ColdFiles
from recall_daemon.store import purge as marks
from recall_daemon.store.store import Store

KIND = "purge"
EVERY = timedelta(minutes=1)
_STEPS = 3


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


class Purge:
    """Blocking; safe from several threads: one purges at a time, who waited has nothing to do."""

    def __init__(self, store: Store, cold: ColdFiles, copies: LocalCopies) -> None:
        self._store = store
        self._cold = cold
        self._copies = copies
        self._one = threading.Lock()

    @property
    def job(self) -> Job:
        return Job(KIND, EVERY, self.run, self.is_due)

    def is_due(self) -> bool:
        with self._store.read() as connection:
            return marks.is_due(connection)

    def run(self, progress: Progress) -> None:
        """Leave no byte of what was forgotten before this in the data folder. Idempotent.

        Cold files first: without their bucket the index cannot be made anew with every word. Raises
        what the bucket raises, `StoreFailed` where a long read is in the way, `DiskFull`: it stays
        due, and searches do not find it meanwhile.
        """
        with self._one:
            with self._store.read() as connection:
                if not marks.is_due(connection):
                    return
                upto = marks.asked(connection)
            self._steps(progress)
            self._store.write(lambda connection: marks.settle(connection, upto))
            progress.update(_STEPS, detail="nothing that was forgotten is on this disk")

    def _steps(self, progress: Progress) -> None:
        progress.update(0, _STEPS, "cold files are written anew")
        damaged = self._cold.renew()
        progress.update(1, detail="; ".join(["the store is written anew", *damaged[:3]]))
        self._store.rewrite()
        progress.update(2, detail="the index is made anew")
        self._copies.purge_index()
        # Last: until the cold files were new, any search could bring old ranges here again.
        self._copies.clear_cache()
