"""Single memories and batches of them: add, get, update, delete, reinforce."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from recall_client.arguments import flag, given, segment, whole
from recall_client.call import Call, ask, delete, get, patch, post
from recall_client.methods.asking import Asking, R

ROOT = "/v1/agent"


class MemoryMethods(Asking[R]):
    """Of every write: `idempotency_key` where it may be sent again by another process. None: one
    is made for the call and its retries."""

    def add_memory(  # noqa: PLR0917 callers know them by place
        self,
        content: str,
        memory_type: str = "general",
        memory_tier: str = "short",
        importance: float = 0.5,
        metadata: Mapping[str, Any] | None = None,
        tags: Collection[str] | None = None,
        parent_id: str | None = None,
        *,
        category: str | None = None,
        memory_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> R:
        """→ memory_id, system_id, version. `importance` is 0..1; tiers: short, medium, long."""
        return self._ask(
            lambda: post(
                f"{ROOT}/memories",
                given(
                    content=content,
                    memory_type=memory_type,
                    memory_tier=memory_tier,
                    importance=importance,
                    metadata=metadata,
                    tags=tags,
                    parent_id=parent_id,
                    category=category,
                    memory_id=memory_id,
                ),
                idempotency_key,
            )
        )

    def batch_add_memories(
        self, memories: Sequence[Mapping[str, Any]], *, idempotency_key: str | None = None
    ) -> R:
        """→ memory_ids, in the order given. Each is a dictionary of `add_memory`'s arguments; at
        most 1,000, all of them stored or none."""
        return self._ask(
            lambda: post(f"{ROOT}/memories/batch", given(memories=memories), idempotency_key)
        )

    def get_memory(self, memory_id: str) -> R:
        """→ memory. An id is `MEMORY_ID` or `SYSTEM/MEMORY_ID`, here and everywhere."""
        return self._ask(lambda: get(_path("memories", memory_id)))

    def batch_get_memories(self, memory_ids: Sequence[str]) -> R:
        """→ memories, count, missing (ids that are not there, or not to be seen); at most 1,000."""
        return self._ask(lambda: ask(f"{ROOT}/memories/get", given(ids=memory_ids)))

    def update_memory(  # noqa: PLR0917
        self,
        memory_id: str,
        content: str | None = None,
        memory_type: str | None = None,
        importance: float | None = None,
        metadata: Mapping[str, Any] | None = None,
        tags: Collection[str] | None = None,
        *,
        category: str | None = None,
        pinned: bool | None = None,
        base_version: str | None = None,
        strategy: str | None = None,
        fence: int | None = None,
        idempotency_key: str | None = None,
    ) -> R:
        """→ memory_id, system_id, version, outcome, and conflict_id where there is a conflict.

        What is None stays. `base_version`: the `version` that the changes were made on; with it
        an edit of another in between is merged or becomes a conflict, and is never lost.
        """
        return self._ask(
            lambda: patch(
                _path("memories", memory_id),
                given(
                    content=content,
                    memory_type=memory_type,
                    importance=importance,
                    metadata=metadata,
                    tags=tags,
                    category=category,
                    pinned=pinned,
                    base_version=base_version,
                    strategy=strategy,
                    fence=self._fence(memory_id, fence),
                ),
                idempotency_key,
            )
        )

    def delete_memory(
        self,
        memory_id: str,
        cascade: bool = True,
        *,
        fence: int | None = None,
        idempotency_key: str | None = None,
    ) -> R:
        """→ deleted_ids, deletion_id (see `undo_delete`). `cascade`: all below it, too; else its
        children take its place."""

        def build() -> Call:
            asked = {"cascade": flag("cascade", cascade)}
            under = given(fence=self._fence(memory_id, fence))
            return delete(_path("memories", memory_id), {**asked, **under}, idempotency_key)

        return self._ask(build)

    def undo_delete(
        self, deletion_id: int, *, fence: int | None = None, idempotency_key: str | None = None
    ) -> R:
        """→ restored_ids, until the deletion is purged. `fence`: of a lock on what was deleted."""
        return self._ask(
            lambda: post(
                f"{ROOT}/deletions/{whole('deletion_id', deletion_id)}/undo",
                given(fence=fence),
                idempotency_key,
            )
        )

    def reinforce_memory(
        self,
        memory_id: str,
        factor: float = 1.2,
        *,
        fence: int | None = None,
        idempotency_key: str | None = None,
    ) -> R:
        """→ memory_id, new_importance: min(1, what it is now times `factor`), decaying anew."""
        return self._ask(
            lambda: post(
                f"{ROOT}/reinforce",
                given(memory_id=memory_id, factor=factor, fence=self._fence(memory_id, fence)),
                idempotency_key,
            )
        )

    def get_versions(self, memory_id: str) -> R:
        """→ head, versions: all that the memory ever said."""
        return self._ask(lambda: get(_path("versions", memory_id)))

    def why_forgotten(self, memory_id: str) -> R:
        """→ state, why, events: what became of a memory, and by which rule or whom."""
        return self._ask(lambda: get(_path("fate", memory_id)))


def _path(subject: str, memory_id: str) -> str:
    return f"{ROOT}/{subject}/{segment('memory_id', memory_id)}"
