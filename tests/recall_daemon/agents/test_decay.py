"""Importance that falls with time: read and never written, anchored, and promoted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recall_daemon.agents.decay import (
    RATES,
    Anchor,
    anchor_of,
    effective,
    promoted,
    reinforced,
)
from recall_daemon.errors import AgentInvalid
from recall_daemon.store.lives import MemoryTier

NOW = datetime(2026, 1, 2, tzinfo=UTC)
DAY = timedelta(days=1)

anchors = st.builds(
    Anchor, st.floats(0, 1, width=32), st.sampled_from([*RATES]), st.just(NOW - 3 * DAY)
)


@pytest.mark.parametrize(("tier", "left"), [("short", 0.9), ("medium", 0.95), ("long", 0.99)])
def test_effective_importance_is_importance_times_one_less_the_rate_to_the_days(
    tier: MemoryTier, left: float
) -> None:
    for days in (0, 1, 7, 30, 0.5):
        anchor = Anchor(0.8, tier, NOW - days * DAY)
        assert effective(anchor, NOW) == pytest.approx(0.8 * left**days, abs=1e-9)


def test_what_has_no_tier_does_not_decay() -> None:
    assert effective(Anchor(0.8, None, NOW - 900 * DAY), NOW) == 0.8


def test_a_clock_that_was_set_back_raises_nothing() -> None:
    assert effective(Anchor(0.8, "short", NOW + 9 * DAY), NOW) == 0.8


@given(anchors)
def test_reading_is_idempotent(anchor: Anchor) -> None:
    assert effective(anchor, NOW) == effective(anchor, NOW) <= effective(anchor, NOW - DAY)


@given(anchors, st.floats(0.01, 10))
def test_reinforcing_moves_the_anchor_to_the_effective_importance_times_the_factor(
    anchor: Anchor, factor: float
) -> None:
    moved = reinforced(anchor, factor, NOW)
    assert moved.importance == min(1.0, effective(anchor, NOW) * factor)
    assert (moved.tier, moved.anchored_at) == (anchor.tier, NOW)
    assert effective(moved, NOW + DAY) == pytest.approx(
        effective(moved, NOW) * (1 - RATES[moved.tier or "long"])
    )


def test_reinforcing_never_passes_one() -> None:
    assert reinforced(Anchor(0.9, "long", NOW), 1.2, NOW).importance == 1.0


@pytest.mark.parametrize("factor", [0, -1, float("nan"), float("inf"), 1e9])
def test_a_factor_that_cannot_be_is_refused(factor: float) -> None:
    with pytest.raises(AgentInvalid, match="factor"):
        reinforced(Anchor(0.5, "short", NOW), factor, NOW)


@pytest.mark.parametrize(
    ("tier", "importance", "days", "becomes"),
    [
        ("short", 0.4, 7, "medium"),
        ("short", 0.399, 7, "short"),
        ("short", 0.4, 6.999, "short"),
        ("medium", 0.2, 30, "long"),
        ("medium", 0.199, 30, "medium"),
        ("medium", 0.2, 29.999, "medium"),
        ("short", 1.0, 30, "long"),
        ("short", 0.3, 99, "short"),
        ("long", 1.0, 99, "long"),
        (None, 1.0, 99, None),
    ],
)
def test_promotion_thresholds_and_ages(
    tier: MemoryTier | None, importance: float, days: float, becomes: MemoryTier | None
) -> None:
    assert promoted(Anchor(importance, tier, NOW), days * DAY, NOW).tier == becomes


@given(anchors, st.integers(0, 60))
def test_promotion_keeps_the_effective_importance_and_is_idempotent(
    anchor: Anchor, days: int
) -> None:
    moved = promoted(anchor, days * DAY, NOW)
    assert effective(moved, NOW) == pytest.approx(effective(anchor, NOW), abs=1e-6)
    assert promoted(moved, days * DAY, NOW) == moved


def test_without_an_anchor_the_content_speaks_since_it_came() -> None:
    assert anchor_of("short", (None, None), 0.7, NOW) == Anchor(0.7, "short", NOW)
    assert anchor_of(None, (None, None), None, NOW) == Anchor(0.5, None, NOW)
    assert anchor_of("long", (0.9, NOW - DAY), 0.1, NOW) == Anchor(0.9, "long", NOW - DAY)
