"""What a seed decides before anything runs: the instance's settings and what may happen to it."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from typing import Literal, Self

SYSTEM = "laptop"
MACHINE = "machine-a"
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Plan:
    """A world's constants. Sizes are far below what the settings allow, so that a few small rows
    are several snapshots of several parts, and a full outbox."""

    seed: int
    runs: int
    deletes: Literal["keep", "propagate"]
    snapshot_max_rows: int
    part_bytes: int
    parts_in_flight: int
    outbox_max_bytes: int
    outbox_max_age_days: float
    upload_timeout_s: float
    retries: int
    kill_chance: float
    forgets: bool
    pushes: bool
    quarantines: bool
    clock_jumps: bool

    @classmethod
    def of(cls, seed: int) -> Self:
        chance = random.Random(f"plan {seed}")
        ages = chance.random() < 0.15
        return cls(
            seed=seed,
            runs=chance.randint(4, 9),
            deletes=chance.choice(("keep", "propagate")),
            snapshot_max_rows=chance.choice((2, 3, 5, 8)),
            part_bytes=chance.choice((2_000, 4_000, 4_000, 1 << 20)),
            # With more than one the threads, not the seed alone, decide which call is the n-th.
            parts_in_flight=chance.choice((1, 1, 1, 3)),
            outbox_max_bytes=chance.choice((1 << 30, 1 << 30, 30_000, 10_000)),
            outbox_max_age_days=2.0 if ages else 90.0,
            upload_timeout_s=chance.choice((20.0, 120.0, 300.0)),
            retries=chance.choice((0, 1, 3)),
            kill_chance=chance.choice((0.3, 0.6, 0.9)),
            forgets=chance.random() < 0.25,
            pushes=not ages and chance.random() < 0.35,
            quarantines=not ages and chance.random() < 0.25,
            clock_jumps=not ages and chance.random() < 0.2,
        )

    @property
    def ages(self) -> bool:
        """Snapshots may wait too long: then they are taken out, and their number is void."""
        return self.outbox_max_age_days < 90.0

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in asdict(self).items())
