"""Bounded in number and in time, with jitter."""

from __future__ import annotations

from typing import Any

from recall_client.retries import Retries


def test_the_longest_wait_grows_to_the_cap() -> None:
    retries = Retries(times=5, base_s=1, cap_s=5, uniform=lambda low, high: high + low)
    assert list(retries.waits_s(100)) == [1, 2, 4, 5, 5]


def test_the_shortest_is_none_at_all() -> None:
    assert list(Retries(times=2, uniform=lambda low, _: low).waits_s(100)) == [0, 0]


def test_no_try_begins_when_the_time_is_up(clock: Any) -> None:
    waits = Retries(times=3, monotonic=clock).waits_s(30)
    clock.seconds += 29
    assert next(waits, None) is not None
    clock.seconds += 1
    assert next(waits, None) is None


def test_waits_are_drawn_anew_each_time() -> None:
    assert len({wait for _ in range(20) for wait in Retries().waits_s(30)}) > 50
