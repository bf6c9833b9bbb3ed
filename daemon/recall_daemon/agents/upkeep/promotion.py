"""Promotion: what is still important at a certain age decays more slowly from then on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from recall_daemon.agents.decay import STEPS, Anchor, anchor_of, promoted, with_anchor
from recall_daemon.jobs import Progress
from recall_daemon.store import ageing_lives, lives
from recall_daemon.store.ageing_lives import Aged
from recall_daemon.store.lives import Life
from recall_daemon.store.store import Connection, Store

KIND = "promotion"
BATCH = 500


class Promotion:
    """Blocking. A memory below its threshold stays, decays on, and is looked at again."""

    def __init__(self, store: Store, *, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now

    def run(self, progress: Progress) -> None:
        """Move every memory that is due to its next tier. Idempotent."""
        done = looked_at = 0
        for batch in self._batches():
            due = [one for one in batch if self._step(one) is not None]
            if due:
                done += self._store.write(lambda c, due=due: self._promote(c, due))  # type: ignore[misc]
            looked_at += len(batch)
            progress.update(done, detail=f"{done} of {looked_at} old enough promoted")

    def _batches(self) -> Iterator[list[Aged]]:
        now, after = self._now(), ("", "")
        since: dict[str, datetime] = {step.of: now - step.min_age for step in STEPS}
        while True:
            with self._store.read() as connection:
                batch = ageing_lives.aged(connection, since, after=after, limit=BATCH)
            if not batch:
                return
            yield batch
            last = batch[-1].life
            after = (last.system_id, last.memory_id)

    def _promote(self, connection: Connection, due: Sequence[Aged]) -> int:
        """What changed since it was read is judged as it is now."""
        names = [(one.life.system_id, one.life.memory_id) for one in due]
        steps = map(self._step, ageing_lives.aged_now(connection, names).values())
        moved = [life for life in steps if life is not None]
        if moved:
            lives.put(connection, moved, self._now())
        return len(moved)

    def _step(self, one: Aged) -> Life | None:
        """The memory's life after its promotion; None where it stays."""
        now = self._now()
        anchor = anchor_now(one)
        moved = promoted(anchor, now - one.since, now)
        return None if moved is anchor else with_anchor(one.life, moved)


def anchor_now(one: Aged) -> Anchor:
    """What a memory's importance falls from."""
    life = one.life
    anchored = (life.anchor_importance, life.anchored_at)
    return anchor_of(life.memory_tier, anchored, one.importance, one.merged_at)
