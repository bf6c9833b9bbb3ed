"""A missing number is asked for with backoff and given up in the end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from recall_daemon.ingest.gaps import ASKED_AT_ONCE, GapAsker
from recall_daemon.store.ledger import Gap

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def asker() -> GapAsker:
    return GapAsker(first_delay=30 * SECOND, give_up_after=timedelta(days=7))


def test_it_is_asked_for_at_once_and_then_ever_more_seldom() -> None:
    gap, asks, now = Gap("a", 4, 4, NOW), asker(), NOW
    asked = []
    for second in range(0, 400, 10):
        now = NOW + second * SECOND
        if asks.due([gap], now):
            asked.append(second)
    assert asked == [0, 30, 90, 210]


def test_a_wide_gap_is_asked_for_from_its_low_end() -> None:
    due = asker().due([Gap("a", 2, 10**9, NOW)], NOW)

    assert [found.seq for found in due] == list(range(2, 2 + ASKED_AT_ONCE))


def test_it_is_given_up_after_a_week() -> None:
    gap = Gap("a", 4, 4, NOW)
    assert asker().due([gap], NOW + timedelta(days=7)) != []
    assert asker().due([gap], NOW + timedelta(days=7, seconds=1)) == []


def test_a_filled_gap_is_forgotten() -> None:
    asks = asker()
    asks.due([Gap("a", 4, 4, NOW)], NOW)
    asks.due([], NOW)
    assert asks.due([Gap("a", 4, 4, NOW)], NOW) != []
