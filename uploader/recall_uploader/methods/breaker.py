"""A circuit breaker: a way that failed again and again is left alone for a while."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from recall_uploader.state import State

FAILURES_MAX = 3
RESET_S = 60.0

BreakerState = Literal["closed", "open", "half-open"]


@dataclass(frozen=True, slots=True)
class Breaker:
    """Kept in the state file, so that it holds from one short run to the next.

    `FAILURES_MAX` failures in a row open it. Open, nothing is tried; `RESET_S` later one attempt is
    let through (runs follow one another under the state folder's lock, so it is one). Its
    success closes the breaker and clears the count; its failure opens it anew.
    """

    state: State
    path: str
    clock: Callable[[], datetime]

    @property
    def status(self) -> BreakerState:
        _, opened_at = self.state.breaker(self.path)
        if opened_at is None:
            return "closed"
        # A clock that was set back must not keep it open for a year.
        passed_s = self._now() - opened_at
        return "open" if 0 <= passed_s < RESET_S else "half-open"

    @property
    def failures(self) -> int:
        return self.state.breaker(self.path)[0]

    @property
    def reason(self) -> str:
        """Of the last failure."""
        return self.state.noted(f"failed {self.path}") or ""

    def failed(self, reason: str = "") -> None:
        failures = self.failures + 1
        self.state.note(f"failed {self.path}", reason)
        opened_at = self._now() if failures >= FAILURES_MAX else None
        self.state.set_breaker(self.path, failures, opened_at)

    def worked(self) -> None:
        if self.state.breaker(self.path) != (0, None):
            self.state.set_breaker(self.path, 0, None)

    def _now(self) -> float:
        return self.clock().timestamp()
