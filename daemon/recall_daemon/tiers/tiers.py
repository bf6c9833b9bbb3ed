"""The tiers as the daemon and the commands use them: one run of ageing, and what each holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from recall_daemon.errors import BackupRunning
from recall_daemon.store import cold_files, ledger, tiers
from recall_daemon.store.store import Store
from recall_daemon.tiers.ageing import Ageing, Told
from recall_daemon.tiers.cold_store import ColdStore
from recall_daemon.tiers.compaction import Compaction
from recall_daemon.tiers.errors import NoColdBucket
from recall_daemon.tiers.fetch import ColdTexts
from recall_daemon.tiers.groups import Groups
from recall_daemon.tiers.sweep import NamedByBackups, Sweep
from recall_wire.errors import TerminalError, TransientError

Json = dict[str, Any]

LAST_RUN = "last_ageing"


@dataclass(frozen=True)
class Run:
    """What a run of ageing did. `problem`: why nothing turned cold, or it was not ended, or a file
    was left alone."""

    at: str
    to_warm: int
    to_cold: int
    warm_rows_per_s: float
    cold_rows_per_s: float
    compacted_files: int = 0
    deleted_objects: int = 0
    problem: str | None = None


def nothing_told(done: int, total: int | None, detail: str | None) -> None:
    """For whoever does not watch."""


class Tiers:
    """Everything about tiers on an open store. Blocking."""

    def __init__(
        self,
        store: Store,
        cold: ColdStore,
        groups: Groups,
        *,
        texts: ColdTexts,
        ageing: Ageing,
        compaction: Compaction,
        sweep: Sweep,
        now: Callable[[], datetime],
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._cold = cold
        self.groups = groups
        self.texts = texts
        self.compaction = compaction
        self.sweep = sweep
        self.ageing = ageing
        self._now = now
        self._clock = clock

    @property
    def cold(self) -> ColdStore:
        """Where the cold files lie."""
        return self._cold

    def close(self) -> None:
        self.groups.close()
        self._cold.close()

    def age(
        self, told: Told = nothing_told, *, named_by_backups: NamedByBackups | None = None
    ) -> Run:
        """Move what is due and compact; one run at a time. Idempotent.

        With `named_by_backups`, what neither a row nor a backup needs is deleted too. Without a
        bucket rows turn warm and no further. Raises what the bucket raises: what was moved until
        then stays moved.
        """
        self._cold.clear()
        started = self._clock()
        to_warm = self.ageing.to_warm(told)
        warm_s = self._clock() - started
        try:
            run = self._cool(to_warm, warm_s, told, named_by_backups)
        except NoColdBucket as error:
            run = Run(self._at(), to_warm, 0, _per_s(to_warm, warm_s), 0.0, problem=str(error))
        self._record(run)
        told(run.to_warm + run.to_cold, run.to_warm + run.to_cold, _sentence(run))
        return run

    def _cool(
        self, to_warm: int, warm_s: float, told: Told, named_by_backups: NamedByBackups | None
    ) -> Run:
        started = self._clock()
        to_cold = self.ageing.to_cold(told)
        cold_s = self._clock() - started
        run = Run(
            at=self._at(),
            to_warm=to_warm,
            to_cold=to_cold,
            warm_rows_per_s=_per_s(to_warm, warm_s),
            cold_rows_per_s=_per_s(to_cold, cold_s),
        )
        try:
            compacted = self.compaction.run(told)
            run = replace(run, compacted_files=compacted.files)
            deleted, kept = self._sweep(named_by_backups)
        except (TransientError, TerminalError) as error:
            # The rows are moved all the same.
            self._record(replace(run, problem=str(error)))
            raise
        problem = "; ".join([*compacted.damaged[:3], *kept]) or None
        return replace(run, deleted_objects=deleted, problem=problem)

    def _record(self, run: Run) -> None:
        self._store.write(lambda c: ledger.set_fact(c, LAST_RUN, json.dumps(asdict(run))))

    def due(self) -> Json:
        """`{to_warm, to_cold}`: how many rows a run would move. Read-only."""
        return asdict(self.ageing.due())

    def report(self) -> Json:
        """`{tiers: [{tier, rows, bytes, …}], cold, future_rows, last_run}`. Reads every text."""
        now = self._now()
        with self._store.read() as connection:
            held = tiers.held(connection, now)
            files = cold_files.usage(connection)
            retired = cold_files.retired(connection, now)
            future = tiers.in_future(connection, now)
        rows, live = sum(file.rows for file in files), sum(file.live for file in files)
        return {
            "tiers": held,
            "cold": {
                "files": len(files),
                "bytes": sum(file.size for file in files),
                "rows": rows,
                "dead_share": round(1 - live / rows, 4) if rows else 0.0,
                "retired_files": len(retired),
                "retired_bytes": sum(file.size for file in retired),
                "cache": self.groups.cache.usage(),
            },
            "future_rows": future,
            "last_run": self.last_run(),
        }

    def last_run(self) -> Json | None:
        """The newest run that came as far as moving rows, with the fields of `Run`. Read-only."""
        with self._store.read() as connection:
            last = ledger.fact(connection, LAST_RUN)
        return json.loads(last) if last else None

    def sample_problems(self, count: int) -> list[str]:
        """Fetch `count` random cold rows and check them; a sentence for each thing wrong.

        Raises `TransientError` where the bucket does not answer.
        """
        with self._store.read() as connection:
            row_ids = cold_files.sample(connection, count)
        return self.texts.problems(row_ids)

    def _sweep(self, named_by_backups: NamedByBackups | None) -> tuple[int, list[str]]:
        """How many objects went, and why none could."""
        if named_by_backups is None or not self._has_files():
            return 0, []
        try:
            return self.sweep.run(named_by_backups), []
        except BackupRunning as error:
            # What that one will name is not known yet: the next run deletes.
            return 0, [str(error)]

    def _has_files(self) -> bool:
        """A hub that never had a cold row has nothing to list."""
        with self._store.read() as connection:
            return cold_files.was_begun(connection)

    def _at(self) -> str:
        return self._now().isoformat()


def _per_s(rows: int, seconds: float) -> float:
    return round(rows / seconds, 1) if seconds > 0 else 0.0


def _sentence(run: Run) -> str:
    done = (
        f"{run.to_warm} rows to warm, {run.to_cold} to cold, {run.compacted_files} files rewritten"
    )
    return f"{done}: {run.problem}" if run.problem else done
