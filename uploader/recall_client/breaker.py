"""A circuit breaker: a hub that was away several times in a row is left alone for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

FAILURE_THRESHOLD: Final = 3
RESET_TIMEOUT_S: Final = 60.0

BreakerState = Literal["closed", "open", "half-open"]


@dataclass(frozen=True, eq=False)
class Admission:
    """One call that was let through. Its end is told by `worked`, `failed` or `left`, once."""

    is_probe: bool


class Breaker:
    """`threshold` failures in a row open it: nothing is let through. `reset_s` later it is
    half-open: one call is, the probe, whose success closes it and whose failure opens it anew.

    Safe among threads; none waits in it.
    """

    def __init__(
        self,
        threshold: int = FAILURE_THRESHOLD,
        reset_s: float = RESET_TIMEOUT_S,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.threshold = threshold
        self.reset_s = reset_s
        self._monotonic = monotonic
        self._now = now
        self._lock = threading.Lock()
        self._failures = 0
        self._last_failure_at: datetime | None = None
        self._opened_at_s: float | None = None
        self._probe: Admission | None = None

    def reset(self) -> None:
        """As if nothing had ever failed. A probe that is under way ends as any other call."""
        with self._lock:
            self._failures = 0
            self._last_failure_at = None
            self._close()

    @property
    def state(self) -> BreakerState:
        with self._lock:
            return self._state()

    @property
    def failures(self) -> int:
        """In a row."""
        return self._failures

    @property
    def last_failure_at(self) -> datetime | None:
        return self._last_failure_at

    @property
    def wait_s(self) -> float:
        """How long it stays open."""
        with self._lock:
            return self._wait_s()

    def admit(self) -> Admission | None:
        """None: the call must not be made."""
        with self._lock:
            state = self._state()
            if state == "closed":
                return Admission(is_probe=False)
            if state == "open" or self._probe is not None:
                return None
            self._probe = Admission(is_probe=True)
            return self._probe

    def worked(self, _: Admission) -> None:
        """Something answered. So it closes, also where the call began before it opened."""
        with self._lock:
            self._failures = 0
            self._close()

    def failed(self, admission: Admission) -> None:
        with self._lock:
            self._failures += 1
            self._last_failure_at = self._now()
            is_new = self._opened_at_s is None and self._failures >= self.threshold
            if is_new or admission is self._probe:
                self._opened_at_s, self._probe = self._monotonic(), None

    def left(self, admission: Admission) -> None:
        """It was given up before it ended, and says nothing: the next call is the probe."""
        with self._lock:
            if admission is self._probe:
                self._probe = None

    def _close(self) -> None:
        self._opened_at_s = self._probe = None

    def _state(self) -> BreakerState:
        if self._opened_at_s is None:
            return "closed"
        return "open" if self._wait_s() > 0 else "half-open"

    def _wait_s(self) -> float:
        if self._opened_at_s is None:
            return 0.0
        return max(0.0, self._opened_at_s + self.reset_s - self._monotonic())
