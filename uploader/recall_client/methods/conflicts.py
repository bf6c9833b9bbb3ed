"""Conflicts of edits: the review queue, and how one is resolved."""

from __future__ import annotations

from recall_client.arguments import given, segment
from recall_client.call import get, post
from recall_client.methods.asking import Asking, R

ROOT = "/v1/conflicts"


class ConflictMethods(Asking[R]):
    def list_conflicts(
        self, state: str = "open", limit: int | None = None, cursor: str | None = None
    ) -> R:
        """→ conflicts, next_cursor; oldest first. `state`: open, resolved, superseded, all."""
        return self._ask(lambda: get(ROOT, given(state=state, limit=limit, cursor=cursor)))

    def get_conflict(self, conflict_id: str) -> R:
        """→ conflict, with both sides, what they were made from, and a diff."""
        return self._ask(lambda: get(f"{ROOT}/{segment('conflict_id', conflict_id)}"))

    def resolve_conflict(
        self,
        conflict_id: str,
        strategy: str | None = None,
        choose: str | None = None,
        content: str | None = None,
        *,
        fence: int | None = None,
        idempotency_key: str | None = None,
    ) -> R:
        """→ conflict_id, version, resolution. By a `strategy`, by choosing `ours` or `theirs`, or
        with a text of one's own; the side that loses stays in the history."""
        return self._ask(
            lambda: post(
                f"{ROOT}/{segment('conflict_id', conflict_id)}/resolve",
                given(strategy=strategy, choose=choose, content=content, fence=fence),
                idempotency_key,
            )
        )

    def undo_resolution(
        self,
        conflict_id: str,
        *,
        fence: int | None = None,
        idempotency_key: str | None = None,
    ) -> R:
        """→ as `resolve_conflict`: the memory is as it was, and the conflict open again."""
        return self._ask(
            lambda: post(
                f"{ROOT}/{segment('conflict_id', conflict_id)}/undo",
                given(fence=fence),
                idempotency_key,
            )
        )
