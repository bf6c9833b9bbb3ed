"""Side by side, in order, and never for longer than is given."""

from __future__ import annotations

import threading
import time

import pytest

from recall_uploader.deadline import Deadline
from recall_wire.doctor.within import within


def test_results_come_in_order_and_what_hangs_is_none() -> None:
    released = threading.Event()
    began = time.monotonic()
    found = within(Deadline.after(0.3), [lambda: 1, lambda: released.wait(30) and 2, lambda: 3])
    assert found == [1, None, 3]
    assert time.monotonic() - began < 10
    released.set()


def test_they_run_at_once() -> None:
    meet = threading.Barrier(3)
    assert within(Deadline.after(20), [lambda: meet.wait(10) >= 0] * 3) == [True, True, True]


def test_what_one_raises_is_raised() -> None:
    def fail() -> int:
        raise KeyError("gone")

    with pytest.raises(KeyError):
        within(Deadline.after(20), [lambda: 1, fail])
