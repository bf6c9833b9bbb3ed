"""How things stand: of the hub's agents, and of this client's circuit breaker."""

from __future__ import annotations

from recall_client.answers import Answer
from recall_client.call import get
from recall_client.methods.asking import Asking, R


class StateMethods(Asking[R]):
    def get_sync_statistics(self) -> R:
        """→ memories, versions, conflicts, shares and locks of the whole hub, counted. For a token
        that may read all of it, as `get_coordinator_status`."""
        return self._ask(lambda: get("/v1/agents/statistics"))

    def get_coordinator_status(self) -> R:
        """→ agents, global_categories, locks, waiting: who holds and waits for what."""
        return self._ask(lambda: get("/v1/agents/coordinator"))

    def get_circuit_breaker_status(self) -> Answer:
        """→ state (closed, open, half-open), failure_count (calls in a row without an answer),
        last_failure_time (ISO 8601, or None), failure_threshold, reset_timeout (seconds).

        Asks nobody, as `reset_circuit_breaker`.
        """
        breaker = self._breaker
        failed_at = breaker.last_failure_at
        return {
            "status": "success",
            "state": breaker.state,
            "failure_count": breaker.failures,
            "last_failure_time": None if failed_at is None else failed_at.isoformat(),
            "failure_threshold": breaker.threshold,
            "reset_timeout": breaker.reset_s,
        }

    def reset_circuit_breaker(self) -> Answer:
        """→ as `get_circuit_breaker_status`. The next call is made, whatever failed before."""
        self._breaker.reset()
        return self.get_circuit_breaker_status()
