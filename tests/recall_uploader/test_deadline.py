"""The time of a run: waits that would pass its end are not begun."""

from __future__ import annotations

import subprocess
import sys

import pytest

from recall_uploader.deadline import Deadline, OutOfTime
from recall_uploader.retry import Retry
from recall_wire.errors import BucketUnreachable


class Clock:
    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def test_a_wait_that_would_pass_the_end_is_not_begun() -> None:
    clock = Clock()
    sleep = Deadline.after(10, clock).bounding(clock.sleep)
    sleep(9)
    with pytest.raises(OutOfTime):
        sleep(1)
    assert clock.slept == [9]


def test_time_is_checked_against_the_clock() -> None:
    clock = Clock()
    deadline = Deadline.after(10, clock)
    deadline.check()
    clock.now += 10
    with pytest.raises(OutOfTime):
        deadline.check()


def test_a_way_leaves_time_for_the_one_after_it() -> None:
    clock = Clock()
    deadline = Deadline.after(30, clock)
    assert deadline.sooner(1 / 3).left_s == pytest.approx(20)
    clock.now += 60
    assert deadline.sooner(1 / 3).left_s == pytest.approx(-30)


def test_a_clock_at_infinity_leaves_no_time() -> None:
    """How a run that is told to stop is told so, begun before or after."""
    for begun in (100.0, float("inf")):
        deadline = Deadline(begun + 10, lambda: float("inf"))
        with pytest.raises(OutOfTime):
            deadline.check()
        with pytest.raises(OutOfTime):
            deadline.bounding(lambda seconds: None)(0)


def test_retries_end_with_the_run() -> None:
    clock = Clock()
    calls = 0

    def fails() -> None:
        nonlocal calls
        calls += 1
        raise BucketUnreachable("no answer")

    retry = Retry(retries=20, base_s=4, cap_s=4, sleep=clock.sleep, uniform=lambda _, high: high)
    with pytest.raises(BucketUnreachable, match="no answer"):
        retry.bounded(Deadline.after(10, clock))(fails)
    assert (calls, clock.slept) == (3, [4, 4])


def test_a_call_that_nothing_interrupts_ends_the_process() -> None:
    script = (
        "import threading\n"
        "from recall_uploader import deadline\n"
        "deadline.GRACE_S = 0\n"
        "with deadline.last_resort(0.1, 3):\n"
        "    threading.Event().wait()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 3
    assert ended.stderr == "recall: the time for this run is up; the next one goes on from here\n"
