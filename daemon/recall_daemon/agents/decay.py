"""How important a memory still is: computed when it is read, from an anchor that rarely moves.

A memory's importance falls by its tier's rate each day since the anchor. Nothing is rewritten for
it, so reading it twice at one moment says the same twice. Whatever changes the importance (a
reinforcement, a promotion) moves the anchor to that moment and to the importance then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from recall_daemon.errors import AgentInvalid
from recall_daemon.store.lives import Life, MemoryTier

TIERS: Final[tuple[MemoryTier, ...]] = ("short", "medium", "long")

# What a day takes, by tier.
RATES: Final[Mapping[MemoryTier, float]] = {"short": 0.1, "medium": 0.05, "long": 0.01}

# Of a memory that says nothing of it.
DEFAULT_IMPORTANCE: Final = 0.5

REINFORCE_FACTOR: Final = 1.2
REINFORCE_FACTOR_MAX: Final = 1_000.0

# The store keeps 24 bits of it; what lies beyond the sixth place is the noise of that.
_PLACES: Final = 6
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class Anchor:
    """A memory's importance at a moment; `tier` None: it does not decay."""

    importance: float
    tier: MemoryTier | None
    anchored_at: datetime


def anchor_of(
    tier: str | None,
    anchor: tuple[float | None, datetime | None],
    importance: float | None,
    since: datetime,
) -> Anchor:
    """From what the store says of a memory: its life's anchor, where it has one, else what its
    content says, since it came to the hub (`since`)."""
    at, anchored_at = anchor
    known = next((one for one in TIERS if one == tier), None)
    if at is None:
        at = DEFAULT_IMPORTANCE if importance is None else importance
    return Anchor(at, known, since if anchored_at is None else anchored_at)


def with_anchor(life: Life, anchor: Anchor) -> Life:
    """The life with its anchor moved."""
    return replace(
        life,
        memory_tier=anchor.tier,
        anchor_importance=anchor.importance,
        anchored_at=anchor.anchored_at,
    )


def effective(anchor: Anchor, now: datetime) -> float:
    """importance · (1 - rate) ** (days since the anchor), within 0 and 1; a clock that was set back
    raises nothing above the anchor."""
    importance = round(min(max(anchor.importance, 0.0), 1.0), _PLACES)
    if anchor.tier is None:
        return importance
    days = max((now - anchor.anchored_at) / _DAY, 0.0)
    return float(importance * (1 - RATES[anchor.tier]) ** days)


def reinforced(anchor: Anchor, factor: float, now: datetime) -> Anchor:
    """The anchor moved to now, at `min(1, effective importance · factor)`.

    Raises `AgentInvalid`; see `check_factor`.
    """
    check_factor(factor)
    return Anchor(min(1.0, effective(anchor, now) * factor), anchor.tier, now)


def check_factor(factor: float) -> None:
    """Raises `AgentInvalid` unless it is above 0 and at most `REINFORCE_FACTOR_MAX`."""
    if not 0 < factor <= REINFORCE_FACTOR_MAX:
        raise AgentInvalid(
            f"a factor of {factor} is not above 0 and at most {REINFORCE_FACTOR_MAX:g}",
            hint="1.2 makes a memory a fifth more important, 0.5 half as important",
        )


@dataclass(frozen=True)
class Step:
    """A memory of tier `of` turns `to` from this age and this effective importance on."""

    of: MemoryTier
    to: MemoryTier
    min_age: timedelta
    min_importance: float


STEPS: Final = (
    Step("short", "medium", timedelta(days=7), 0.4),
    Step("medium", "long", timedelta(days=30), 0.2),
)


def promoted(anchor: Anchor, age: timedelta, now: datetime) -> Anchor:
    """The anchor in the tier that the memory is due for; the same one where it stays in its own.

    The effective importance is the same before and after: only what it loses from now on differs.
    """
    importance, tier = effective(anchor, now), anchor.tier
    for step in STEPS:
        if tier == step.of and age >= step.min_age and importance >= step.min_importance:
            tier = step.to
    return anchor if tier == anchor.tier else Anchor(importance, tier, now)
