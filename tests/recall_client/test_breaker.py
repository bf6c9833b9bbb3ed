"""Opens at the third failure in a row, lets one probe through after 60 s."""

from __future__ import annotations

from typing import Any

import pytest

from recall_client.breaker import Admission, Breaker


@pytest.fixture
def breaker(clock: Any) -> Breaker:
    return Breaker(monotonic=clock, now=clock.now)


def admitted(breaker: Breaker) -> Admission:
    admission = breaker.admit()
    assert admission is not None
    return admission


def fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        breaker.failed(admitted(breaker))


def test_three_failures_in_a_row_open_it_for_sixty_seconds(breaker: Breaker, clock: Any) -> None:
    fail(breaker, 2)
    assert (breaker.state, breaker.wait_s) == ("closed", 0)
    fail(breaker, 1)
    assert (breaker.state, breaker.failures, breaker.wait_s) == ("open", 3, 60)
    assert breaker.last_failure_at == clock.now()
    clock.seconds += 59.9
    assert (breaker.state, breaker.admit()) == ("open", None)
    clock.seconds += 0.2
    assert breaker.state == "half-open"


def test_an_answer_between_failures_begins_the_count_anew(breaker: Breaker) -> None:
    fail(breaker, 2)
    breaker.worked(admitted(breaker))
    fail(breaker, 2)
    assert (breaker.state, breaker.failures) == ("closed", 2)


def test_one_probe_at_a_time_decides(breaker: Breaker, clock: Any) -> None:
    fail(breaker, 3)
    clock.seconds += 60
    probe = admitted(breaker)
    assert (probe.is_probe, breaker.admit(), breaker.state) == (True, None, "half-open")
    breaker.failed(probe)
    assert (breaker.state, breaker.wait_s, breaker.failures) == ("open", 60, 4)
    clock.seconds += 60
    breaker.worked(admitted(breaker))
    assert (breaker.state, breaker.failures) == ("closed", 0)
    assert not admitted(breaker).is_probe


def test_a_probe_that_is_given_up_leaves_its_place_to_the_next(
    breaker: Breaker, clock: Any
) -> None:
    fail(breaker, 3)
    clock.seconds += 60
    breaker.left(admitted(breaker))
    assert breaker.state == "half-open"
    assert admitted(breaker).is_probe


def test_a_call_from_before_it_opened_neither_keeps_it_open_nor_ends_a_probe(
    breaker: Breaker, clock: Any
) -> None:
    early, late = admitted(breaker), admitted(breaker)
    fail(breaker, 3)
    clock.seconds += 30
    breaker.failed(early)
    assert breaker.wait_s == 30
    clock.seconds += 30
    probe = admitted(breaker)
    breaker.left(late)
    assert breaker.admit() is None
    breaker.worked(probe)
    assert breaker.state == "closed"


def test_reset_closes_it_and_a_probe_from_before_is_none_any_more(
    breaker: Breaker, clock: Any
) -> None:
    fail(breaker, 3)
    clock.seconds += 60
    probe = admitted(breaker)
    breaker.reset()
    assert (breaker.state, breaker.failures, breaker.last_failure_at) == ("closed", 0, None)
    breaker.failed(probe)
    assert (breaker.state, breaker.failures) == ("closed", 1)
