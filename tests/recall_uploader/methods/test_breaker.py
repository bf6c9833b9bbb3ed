"""Three failures in a row open it; a minute later one attempt decides."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recall_uploader.methods.breaker import Breaker
from recall_uploader.state import Committed, Identity, State


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(tmp_path: Path, clock: Clock) -> Iterator[Breaker]:
    state = State.create(tmp_path / "state", Identity.new("laptop", "machine-a"), Committed())
    yield Breaker(state, "cloud", clock)
    state.close()


def fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        breaker.failed()


def test_three_failures_in_a_row_open_it(breaker: Breaker) -> None:
    fail(breaker, 2)
    assert breaker.status == "closed"
    breaker.failed()
    assert (breaker.status, breaker.failures) == ("open", 3)


def test_a_success_between_them_clears_the_count(breaker: Breaker) -> None:
    fail(breaker, 2)
    breaker.worked()
    fail(breaker, 2)
    assert breaker.status == "closed"


def test_after_a_minute_a_probe_closes_it(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += timedelta(seconds=59)
    assert breaker.status == "open"
    clock.now += timedelta(seconds=1)
    assert breaker.status == "half-open"
    breaker.worked()
    assert (breaker.status, breaker.failures) == ("closed", 0)


def test_a_failed_probe_opens_it_for_another_minute(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += timedelta(seconds=60)
    breaker.failed()
    assert breaker.status == "open"
    clock.now += timedelta(seconds=60)
    assert breaker.status == "half-open"


def test_each_way_has_its_own(breaker: Breaker) -> None:
    fail(breaker, 3)
    assert Breaker(breaker.state, "http", breaker.clock).status == "closed"


def test_it_holds_from_one_run_to_the_next(breaker: Breaker, clock: Clock, tmp_path: Path) -> None:
    fail(breaker, 3)
    state = State.open(tmp_path / "state")
    try:
        assert Breaker(state, "cloud", clock).status == "open"
    finally:
        state.close()


def test_a_clock_that_was_set_back_a_year_does_not_keep_it_open(
    breaker: Breaker, clock: Clock
) -> None:
    fail(breaker, 3)
    clock.now -= timedelta(days=365)
    assert breaker.status == "half-open"
