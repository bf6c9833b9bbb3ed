"""Groups of memories that belong to one context, and sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from recall_client.answers import Answer
from recall_client.arguments import given, whole
from recall_client.call import get, post
from recall_client.methods.asking import Asking, R

ROOT = "/v1/agent/groups"


class GroupMethods(Asking[R]):
    def create_session(
        self,
        session_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> R:
        """→ session_id, which this client's calls belong to from then on."""

        def then(answer: Answer) -> None:
            self.set_session_id(answer["session_id"])

        return self._ask(
            lambda: post(
                "/v1/agent/sessions",
                given(session_id=session_id, metadata=metadata),
                idempotency_key,
            ),
            then,
        )

    def create_context_group(
        self,
        name: str,
        description: str | None = None,
        memory_ids: Sequence[str] | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> R:
        """→ group_id, a whole number."""
        return self._ask(
            lambda: post(
                ROOT,
                given(name=name, description=description, memory_ids=memory_ids),
                idempotency_key,
            )
        )

    def add_to_group(
        self,
        group_id: int,
        memory_ids: str | Sequence[str],
        *,
        idempotency_key: str | None = None,
    ) -> R:
        """→ added: how many of them were not in it."""
        return self._ask(
            lambda: post(
                f"{ROOT}/{whole('group_id', group_id)}/members",
                given(memory_ids=memory_ids),
                idempotency_key,
            )
        )

    def get_memories_by_group(self, group_id: int, limit: int = 50) -> R:
        """→ results, count."""
        return self._ask(
            lambda: get(f"{ROOT}/{whole('group_id', group_id)}/memories", given(limit=limit))
        )
