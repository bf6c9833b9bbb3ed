"""The time a whole run may take."""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from recall_wire.errors import TransientError

GRACE_S = 5.0
Sleep = Callable[[float], None]


class OutOfTime(TransientError):
    """The run has used up `upload_timeout_s`; what is not delivered waits in the outbox."""

    def __init__(self) -> None:
        super().__init__(
            "the time for this run is up", hint="the next one goes on; see upload_timeout_s"
        )


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on the monotonic clock."""

    at: float
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def after(cls, seconds: float, clock: Callable[[], float] = time.monotonic) -> Deadline:
        return cls(clock() + seconds, clock)

    @property
    def left_s(self) -> float:
        """Nothing once the clock says that it is all over (infinity)."""
        now = self.clock()
        return 0.0 if math.isinf(now) else self.at - now

    def sooner(self, fraction: float) -> Deadline:
        """The moment at which this fraction of what is left is still left."""
        return replace(self, at=self.at - max(0.0, self.left_s) * fraction)

    def check(self) -> None:
        """Raises `OutOfTime`."""
        if self.left_s <= 0:
            raise OutOfTime

    def bounding(self, sleep: Sleep) -> Sleep:
        """`sleep`, but raising `OutOfTime` at once instead of a wait that would pass the end."""

        def bounded(seconds: float) -> None:
            if seconds >= self.left_s:
                raise OutOfTime
            sleep(seconds)

        return bounded


@contextmanager
def last_resort(seconds: float, exit_code: int) -> Iterator[None]:
    """End the process when the body takes longer than `seconds` and a little: a call that hangs
    where nothing can interrupt it (a dead network drive) must not hold up whoever waits for us.

    Any instant is a safe one to end at: state and outbox are made for it.
    """
    timer = threading.Timer(seconds + GRACE_S, _end, (exit_code,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _end(exit_code: int) -> None:
    print("recall: the time for this run is up; the next one goes on from here", file=sys.stderr)
    sys.stderr.flush()
    os._exit(exit_code)
