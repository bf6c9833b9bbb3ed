"""Memories with lives, made some days ago, and jobs run as the hub runs them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from recall_daemon.agents.decay import Anchor, anchor_of, effective
from recall_daemon.jobs import Progress
from recall_daemon.store import lives, posts
from recall_daemon.store.jobs import JobRun
from recall_daemon.store.lives import Life, MemoryTier
from recall_daemon.store.store import Store
from recall_wire.records import Record

SYSTEM = "agents"
NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@dataclass
class Shelf:
    """A store with a clock that is moved by hand."""

    store: Store
    clock: list[datetime] = field(default_factory=lambda: [NOW])

    def now(self) -> datetime:
        return self.clock[0]

    def later(self, **passed: float) -> None:
        self.clock[0] += timedelta(**passed)

    def add(
        self,
        memory_id: str,
        text: str = "",
        *,
        tier: MemoryTier | None = "short",
        importance: float = 0.5,
        days_ago: float = 0,
        pinned: bool = False,
        system: str = SYSTEM,
        also: Callable[[Any], None] = lambda _: None,
        **fields: object,
    ) -> None:
        """As an agent adds one, so many days ago; fields are those of the record. `also` is of the
        same transaction."""
        when = self.now() - days_ago * DAY
        record = Record(
            memory_id,
            text=text or memory_id,
            importance=importance,
            created_at=when,
            **fields,  # type: ignore[arg-type]
        )
        life = Life(system, memory_id, None, tier, importance, when, pinned)

        def work(connection: Any) -> None:
            posts.post(connection, system, [record], when)
            lives.put(connection, [life], when)
            also(connection)

        self.store.write(work)

    def life(self, memory_id: str, system: str = SYSTEM) -> Life:
        with self.store.read() as connection:
            return lives.find(connection, system, memory_id)

    def anchor(self, memory_id: str) -> Anchor:
        life = self.life(memory_id)
        return anchor_of(
            life.memory_tier, (life.anchor_importance, life.anchored_at), None, self.now()
        )

    def effective(self, memory_id: str) -> float:
        return effective(self.anchor(memory_id), self.now())

    def query(self, sql: str) -> list[tuple[object, ...]]:
        with self.store.read() as connection:
            return connection.execute(sql).fetchall()


def ran(work: Callable[[Progress], object]) -> JobRun:
    """What a run of a job says when it is done."""
    progress = Progress()
    work(progress)
    return progress.of(JobRun(1, "job", "done", NOW))
