"""Moving rows down: hot to warm, warm to cold, a bounded batch in each transaction.

A row is moved only where it still is what was read, so that ingest goes on meanwhile and a crash
at any instant leaves each row in one tier, whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa

from recall_daemon.store import cold_files, tiers
from recall_daemon.store.store import Store
from recall_daemon.store.tiers import Due
from recall_daemon.tiers.cold_store import ColdStore
from recall_daemon.tiers.summary import beginning, summarise

# One transaction, and one cold file: the writer is held for a moment only, and a range is found
# among few row groups.
BATCH_ROWS = 5_000
BATCH_BYTES = 32 << 20

Told = Callable[[int, int | None, str | None], None]


@dataclass(frozen=True)
class Rules:
    """When rows move down, and from which importance on they stay."""

    warm_after: timedelta
    cold_after: timedelta
    keep_importance: float


@dataclass(frozen=True)
class Moves:
    """How many rows may move, or have moved, one step down."""

    to_warm: int = 0
    to_cold: int = 0


class Ageing:
    """Applies the rules to a store. `space_id`: the space in which a cold row must be embedded."""

    def __init__(
        self,
        store: Store,
        cold: ColdStore,
        rules: Rules,
        *,
        now: Callable[[], datetime],
        space_id: Callable[[], str | None],
    ) -> None:
        self._store = store
        self._cold = cold
        self.rules = rules
        self._now = now
        self._space_id = space_id

    def due(self) -> Moves:
        """What a run would move. Read-only.

        Rows that are due to become both count once in each.
        """
        before = self._now() - self.rules.cold_after
        return Moves(
            to_warm=len(self._due_warm()),
            to_cold=len(self._due("warm", before)) + len(self._due("hot", before)),
        )

    def to_warm(self, told: Told) -> int:
        """Rows hot to warm, with their vectors and a summary; returns how many. Idempotent."""
        moved, due = 0, self._due_warm()
        for row_ids in _batches(due):
            moved += self._warm_batch(row_ids)
            told(moved, len(due), "hot to warm")
        self._code_left_over()
        return moved

    def to_cold(self, told: Told) -> int:
        """Rows warm to cold, one file a batch; returns how many. Idempotent.

        Raises `ColdUnproven`, `NoColdBucket`, and what the bucket raises: the batches before stay
        moved, that one stays where it was.
        """
        due = self._due("warm", self._now() - self.rules.cold_after)
        moved = 0
        for row_ids in _batches(due):
            moved += self._cool_batch(row_ids)
            told(moved, len(due), "warm to cold")
        return moved

    def _due_warm(self) -> Due:
        # Any text in any space may turn warm: its code does for what its vector did.
        with self._store.read() as connection:
            return tiers.due(
                connection,
                "hot",
                self._now() - self.rules.warm_after,
                keep_importance=self.rules.keep_importance,
            )

    def _due(self, tier: str, before: datetime) -> Due:
        with self._store.read() as connection:
            return tiers.due(
                connection,
                tier,
                before,
                keep_importance=self.rules.keep_importance,
                space_id=self._space_id(),
            )

    def _warm_batch(self, row_ids: list[int]) -> int:
        with self._store.read() as connection:
            rows = tiers.hot_texts(connection, row_ids)
        summaries = [summarise(text.as_py()) for text in rows["text"]]
        batch = rows.drop_columns("text").append_column("summary", pa.array(summaries, pa.string()))
        return self._store.write(lambda connection: tiers.make_warm(connection, batch))

    def _code_left_over(self) -> None:
        """Texts whose last hot row was changed or deleted while a warm one has them still."""
        while True:
            if not self._store.write(lambda c: tiers.code_left_over(c, BATCH_ROWS)):
                return

    def _cool_batch(self, row_ids: list[int]) -> int:
        with self._store.read() as connection:
            rows = cold_files.contents(connection, row_ids)
        if not rows.num_rows:
            return 0
        file = self._cold.put(rows)
        # A short text has no summary; without its text it shows how it begins.
        shown = [beginning(text.as_py()) for text in rows["text"]]
        moved = rows.select(["row_id", "content_hash"])
        moved = moved.append_column("summary", pa.array(shown, pa.string()))
        moved = moved.append_column("cold_row", pa.array(range(rows.num_rows), pa.int64()))
        return self._store.write(lambda c: cold_files.make_cold(c, file, moved))


def _batches(due: Due) -> Iterator[list[int]]:
    """At most `BATCH_ROWS` rows and, past the first, `BATCH_BYTES` of text and metadata each."""
    ends = np.cumsum(due.far_bytes)
    start = 0
    while start < len(due):
        so_far = ends[start - 1] if start else 0
        full = int(np.searchsorted(ends, so_far + BATCH_BYTES, side="right"))
        end = min(max(full, start + 1), start + BATCH_ROWS, len(due))
        yield due.row_ids[start:end].tolist()
        start = end
