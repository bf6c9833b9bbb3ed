"""Locks: durable leases with a fencing token. For a whole block there is the client's `lock`."""

from __future__ import annotations

from recall_client.arguments import given, number
from recall_client.call import Call, get, post
from recall_client.methods.asking import Asking, R

ROOT = "/v1/locks"
LEASE_S = 300.0
WAIT_S = 30.0


class LockMethods(Asking[R]):
    """A fence is sent with each change of a locked memory, as `fence`."""

    def acquire_lock(
        self,
        memory_id: str,
        lease_s: float = LEASE_S,
        wait_s: float = WAIT_S,
        *,
        idempotency_key: str | None = None,
    ) -> R:
        """→ lock {memory_id, system_id, fence, expires_at, depth}.

        Waits at most `wait_s` for its turn, first come, first served. Who holds it already gets
        it again: it is released as often as it was acquired.
        """

        def build() -> Call:
            asked = given(memory_id=memory_id, lease_s=lease_s, wait_s=wait_s)
            patience_s = max(0.0, number("wait_s", wait_s))
            return post(ROOT, asked, idempotency_key, patience_s=patience_s)

        return self._ask(build)

    def renew_lock(
        self,
        memory_id: str,
        fence: int,
        lease_s: float = LEASE_S,
        *,
        idempotency_key: str | None = None,
    ) -> R:
        """→ lock, which lasts `lease_s` from now on."""
        return self._ask(
            lambda: post(
                f"{ROOT}/renew",
                given(memory_id=memory_id, fence=fence, lease_s=lease_s),
                idempotency_key,
            )
        )

    def release_lock(self, memory_id: str, fence: int, *, idempotency_key: str | None = None) -> R:
        return self._ask(
            lambda: post(
                f"{ROOT}/release", given(memory_id=memory_id, fence=fence), idempotency_key
            )
        )

    def list_locks(self) -> R:
        """→ locks, waiting."""
        return self._ask(lambda: get(ROOT))
