"""Searches, and the children of a memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recall_client.arguments import given, segment, whole
from recall_client.call import ask, get
from recall_client.methods.asking import Asking, R

SEARCH = "/v1/agent/search"


class FindingMethods(Asking[R]):
    """Who may see a memory is decided before the best are taken: no answer is cut short by what
    others keep to themselves."""

    def search_memory(
        self,
        query: str,
        memory_type: str | None = None,
        limit: int = 10,
        parent_id: str | None = None,
    ) -> R:
        """→ results [{memory, score, is_shared, source_agent, seen_by}], count, degraded. By words
        and meaning, best first."""
        return self._ask(
            lambda: ask(
                SEARCH,
                given(
                    query=query,
                    memory_type=memory_type,
                    limit=limit,
                    parent_id=parent_id,
                    search_type="hybrid",
                ),
            )
        )

    def semantic_search(
        self, query: str, k: int = 5, filters: Mapping[str, Any] | None = None
    ) -> R:
        """→ results, count, degraded, as `search_memory` has them: the `k` nearest by meaning."""
        return self._ask(
            lambda: ask(
                SEARCH,
                given(query=query, limit=whole("k", k), filters=filters, search_type="meaning"),
            )
        )

    def search_agent_memories(
        self,
        query: str | None = None,
        include_shared_memories: bool = True,
        search_type: str = "hybrid",
        limit: int = 10,
        *,
        memory_type: str | None = None,
        parent_id: str | None = None,
        filters: Mapping[str, Any] | None = None,
        min_score: float | None = None,
    ) -> R:
        """→ results, count, degraded. `search_type`: hybrid, words, meaning. Without
        `include_shared_memories` the agent's own alone."""
        return self._ask(
            lambda: ask(
                SEARCH,
                given(
                    query=query,
                    include_shared_memories=include_shared_memories,
                    search_type=search_type,
                    limit=limit,
                    memory_type=memory_type,
                    parent_id=parent_id,
                    filters=filters,
                    min_score=min_score,
                ),
            )
        )

    def get_children(
        self,
        memory_id: str,
        limit: int = 50,
        sort_field: str = "created_at",
        sort_order: str = "desc",
    ) -> R:
        """→ results, count. `sort_field`: created_at, updated_at, importance; `sort_order`: asc,
        desc."""
        return self._ask(
            lambda: get(
                f"/v1/agent/children/{segment('memory_id', memory_id)}",
                given(limit=limit, sort_field=sort_field, sort_order=sort_order),
            )
        )
