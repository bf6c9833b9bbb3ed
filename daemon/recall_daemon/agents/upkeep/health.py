"""Health: a look, every few minutes, whether what should happen in the background happens."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Final

from recall_daemon.index.follower import Index
from recall_daemon.jobs import Progress
from recall_daemon.store import jobs, ledger, memories, reconciling
from recall_daemon.store.store import Connection, Store

KIND: Final = "health"
FACT: Final = "health"

# A busy hub's index is behind by no more than that.
MANY_CHANGES: Final = 100_000

Json = dict[str, object]


class Health:
    """Blocking."""

    def __init__(self, store: Store, index: Index, *, now: Callable[[], datetime]) -> None:
        self._store = store
        self._index = index
        self._now = now

    def run(self, progress: Progress) -> None:
        """Look, and keep what was found: one sentence for each thing that is wrong."""
        with self._store.read() as connection:
            found = self._problems(connection)
        said = json.dumps({"at": self._now().isoformat(), "problems": found}, ensure_ascii=False)
        self._store.write(lambda connection: ledger.set_fact(connection, FACT, said))
        progress.update(1, 1, "; ".join(found) or "nothing is wrong")

    def _problems(self, connection: Connection) -> list[str]:
        failed = (run for run in jobs.latest(connection).values() if run.state == "failed")
        told = [f"{run.kind} failed: {run.detail}" for run in failed if run.kind != KIND]
        last = reconciling.standing(connection).last
        if last is not None and last.repaired:
            what = ", ".join(f"{count} {kind}" for kind, count in sorted(last.repaired.items()))
            told.append(f"the last whole reconciliation repaired {what}")
        return [*told, *self._of_index(connection)]

    def _of_index(self, connection: Connection) -> list[str]:
        counts = self._index.counts
        behind = memories.last_change(connection) - counts.applied.rows
        if counts.why_not_sealed is not None:
            return [f"the index's newest vectors stay in memory: {counts.why_not_sealed}"]
        return [f"the index is {behind} changes behind"] if behind > MANY_CHANGES else []


def last_look(connection: Connection) -> Json | None:
    """`{at, problems}` of the newest look; None before the first."""
    told = ledger.fact(connection, FACT)
    return None if told is None else dict(json.loads(told))
