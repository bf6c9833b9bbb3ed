"""How memories are related, one way or both."""

from __future__ import annotations

from recall_client.arguments import given, segment, whole
from recall_client.call import delete, get, post
from recall_client.methods.asking import Asking, R

ROOT = "/v1/agent/relationships"


class RelationMethods(Asking[R]):
    def add_relationship(
        self,
        from_id: str,
        to_id: str,
        relationship_type: str,
        strength: float = 1.0,
        *,
        fence: int | None = None,
        idempotency_key: str | None = None,
    ) -> R:
        """→ relationship_id. It leads from the one to the other; `strength` is 0..1."""
        return self._ask(
            lambda: post(
                ROOT,
                given(
                    from_id=from_id,
                    to_id=to_id,
                    type=relationship_type,
                    strength=strength,
                    fence=self._fence(from_id, fence),
                ),
                idempotency_key,
            )
        )

    def remove_relationship(
        self,
        relationship_id: int,
        *,
        fence: int | None = None,
        idempotency_key: str | None = None,
    ) -> R:
        """→ relationship_id. `fence`: of the lock on the memory that it leads from."""
        number = relationship_id
        return self._ask(
            lambda: delete(
                f"{ROOT}/{whole('relationship_id', number)}", given(fence=fence), idempotency_key
            )
        )

    def get_related_memories(
        self,
        memory_id: str,
        relationship_type: str | None = None,
        direction: str = "both",
        limit: int = 50,
    ) -> R:
        """→ related_memories [{relationship {relationship_id, type, strength, direction,
        created_at}, memory}], count. `direction`: both, outgoing (from `memory_id`), incoming."""
        return self._ask(
            lambda: get(
                f"{ROOT}/{segment('memory_id', memory_id)}",
                given(type=relationship_type, direction=direction, limit=limit),
            )
        )
