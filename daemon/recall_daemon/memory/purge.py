"""What was forgotten leaves the data folder byte by byte: beside everything else, and at leisure.

A forget takes the rows away at once; their bytes stay in freed places of the store's file and in
deleted documents of the index until both are written anew, which takes as long as there are rows.
So all forgets of an interval share one purge, unless somebody asks for one at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from recall_daemon.jobs import Job, Progress
from recall_daemon.memory.erase import ColdFiles
from recall_daemon.store import purge as marks
from recall_daemon.store.purge import STEPS, Step
from recall_daemon.store.store import Connection, Store

KIND = "purge"
LOOK_EVERY = timedelta(minutes=1)


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
    """Blocking; safe from several threads: one purges at a time, who waited has nothing to do.

    The job purges at most once per `interval`; `run` does at once what is left.
    """

    def __init__(
        self,
        store: Store,
        cold: ColdFiles,
        copies: LocalCopies,
        *,
        interval: timedelta,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._cold = cold
        self._copies = copies
        self.interval = interval
        self._now = now
        self._one = threading.Lock()

    @property
    def job(self) -> Job:
        return Job(KIND, LOOK_EVERY, self.run, self.is_due)

    def is_pending(self) -> bool:
        """Whether this disk may still hold bytes of what was forgotten."""
        with self._store.read() as connection:
            return marks.is_pending(connection)

    def due_at(self) -> datetime | None:
        """When the job does what is left; None where nothing is."""
        with self._store.read() as connection:
            if not marks.is_pending(connection):
                return None
            last = marks.finished_at(connection)
        now = self._now()
        # A clock that was set back must not put it off any longer.
        return now if last is None else max(min(last, now) + self.interval, now)

    def is_due(self) -> bool:
        """Whether something is left, and the last purge was an interval ago."""
        due_at = self.due_at()
        return due_at is not None and due_at <= self._now()

    def run(self, progress: Progress) -> None:
        """Leave no byte of what was forgotten before this in the data folder. Idempotent.

        Raises what the bucket raises, `StoreFailed` where a long read is in the way, `DiskFull`:
        what is left stays pending, what was done is not done again, and searches do not find it
        meanwhile.
        """
        with self._one:
            with self._store.read() as connection:
                upto = marks.asked(connection)
                left = [step for step in STEPS if marks.is_left(connection, step)]
            if not left:
                return
            self._steps(left, upto, progress)
            self._store.write(lambda connection: marks.finish(connection, self._now()))
            progress.update(len(STEPS), detail="nothing that was forgotten is on this disk")

    def _steps(self, left: list[Step], upto: int, progress: Progress) -> None:
        """Cold files first: without their bucket the index cannot be made anew with every word.
        The cache last: until the cold files are new, any search brings old ranges here again."""
        steps: dict[Step, tuple[str, Callable[[], object]]] = {
            "cold": ("cold files are written anew", self._cold.renew),
            "store": ("the store is written anew", self._store.rewrite),
            "index": ("the index is made anew", self._copies.purge_index),
            "cache": ("cold texts that were read lately go", self._copies.clear_cache),
        }
        for number, (step, (detail, work)) in enumerate(steps.items()):
            if step in left:
                progress.update(number, len(STEPS), detail)
                work()
                self._store.write(partial(_settle, step, upto))


def _settle(step: Step, upto: int, connection: Connection) -> None:
    marks.settle(connection, step, upto)
