"""Every method: its parameters and defaults, and the request that it makes of them."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from recall_client import AsyncMemoryClient, MemoryClient

# The names that programs rely on, with the parameters that may stand by place.
PROMISED = {
    "set_agent_id": "agent_id",
    "set_session_id": "session_id",
    "create_session": "session_id=None, metadata=None",
    "add_memory": "content, memory_type='general', memory_tier='short', importance=0.5, "
    "metadata=None, tags=None, parent_id=None",
    "get_memory": "memory_id",
    "search_memory": "query, memory_type=None, limit=10, parent_id=None",
    "semantic_search": "query, k=5, filters=None",
    "update_memory": "memory_id, content=None, memory_type=None, importance=None, metadata=None, "
    "tags=None",
    "delete_memory": "memory_id, cascade=True",
    "get_children": "memory_id, limit=50, sort_field='created_at', sort_order='desc'",
    "add_relationship": "from_id, to_id, relationship_type, strength=1.0",
    "get_related_memories": "memory_id, relationship_type=None, direction='both', limit=50",
    "reinforce_memory": "memory_id, factor=1.2",
    "batch_add_memories": "memories",
    "batch_get_memories": "memory_ids",
    "create_context_group": "name, description=None, memory_ids=None",
    "add_to_group": "group_id, memory_ids",
    "get_memories_by_group": "group_id, limit=50",
    "get_circuit_breaker_status": "",
    "reset_circuit_breaker": "",
    "search_agent_memories": "query=None, include_shared_memories=True, search_type='hybrid', "
    "limit=10",
    "share_with_agents": "memory_id, agents, permission='read', expires_in_s=None",
    "get_agent_memory_slice": "agent_id=None, limit=None, cursor=None",
    "acquire_lock": "memory_id, lease_s=300.0, wait_s=30.0",
    "renew_lock": "memory_id, fence, lease_s=300.0",
    "release_lock": "memory_id, fence",
    "resolve_conflict": "conflict_id, strategy=None, choose=None, content=None",
    "list_conflicts": "state='open', limit=None, cursor=None",
    "undo_delete": "deletion_id",
    "get_versions": "memory_id",
}

Ask = Callable[[Any], Any]


@pytest.mark.parametrize("client", [MemoryClient, AsyncMemoryClient])
def test_the_names_parameters_and_defaults_are_those_promised(client: type[Any]) -> None:
    found = {name: _by_place(getattr(client, name)) for name in PROMISED}
    assert found == PROMISED
    assert _by_place(client) == "hub_url, token=None"


def test_each_method_is_tried_below() -> None:
    public = {
        name
        for name, _ in inspect.getmembers(MemoryClient, inspect.isfunction)
        if not name.startswith("_")
    }
    local = {name for name in public if name.startswith("set_") or "circuit_breaker" in name}
    tried = {name for name, *_ in ASKED}
    assert public - local - {"lock", "close"} == tried


# method, call, HTTP method, path, what is sent
ASKED: list[tuple[str, Ask, str, str, Any]] = [
    (
        "add_memory",
        lambda c: c.add_memory("text"),
        "POST",
        "/v1/agent/memories",
        {"content": "text", "memory_type": "general", "memory_tier": "short", "importance": 0.5},
    ),
    (
        "add_memory",
        lambda c: c.add_memory(
            *("text", "fact", "long", 1, {"a": [1]}, ("x", "y"), "p"), category="k", memory_id="m"
        ),
        "POST",
        "/v1/agent/memories",
        {
            "content": "text",
            "memory_type": "fact",
            "memory_tier": "long",
            "importance": 1,
            "metadata": {"a": [1]},
            "tags": ["x", "y"],
            "parent_id": "p",
            "category": "k",
            "memory_id": "m",
        },
    ),
    (
        "batch_add_memories",
        lambda c: c.batch_add_memories([{"content": "a"}, {"content": "b", "importance": 0}]),
        "POST",
        "/v1/agent/memories/batch",
        {"memories": [{"content": "a"}, {"content": "b", "importance": 0}]},
    ),
    ("get_memory", lambda c: c.get_memory("s/a b?#"), "GET", "/v1/agent/memories/s/a b?#", {}),
    ("get_memory", lambda c: c.get_memory(".."), "GET", "/v1/agent/memories/..", {}),
    (
        "batch_get_memories",
        lambda c: c.batch_get_memories(["a", "b"]),
        "POST",
        "/v1/agent/memories/get",
        {"ids": ["a", "b"]},
    ),
    (
        "update_memory",
        lambda c: c.update_memory("m", content="x", pinned=False, base_version="v", metadata={}),
        "PATCH",
        "/v1/agent/memories/m",
        {"content": "x", "pinned": False, "base_version": "v", "metadata": {}},
    ),
    (
        "update_memory",
        lambda c: c.update_memory(
            *("m", None, "fact", 0.1, None, []), category="k", strategy="merge_content", fence=3
        ),
        "PATCH",
        "/v1/agent/memories/m",
        {
            "memory_type": "fact",
            "importance": 0.1,
            "tags": [],
            "category": "k",
            "strategy": "merge_content",
            "fence": 3,
        },
    ),
    (
        "delete_memory",
        lambda c: c.delete_memory("m"),
        "DELETE",
        "/v1/agent/memories/m",
        {"cascade": "true"},
    ),
    (
        "delete_memory",
        lambda c: c.delete_memory("m", False, fence=3),
        "DELETE",
        "/v1/agent/memories/m",
        {"cascade": "false", "fence": "3"},
    ),
    ("undo_delete", lambda c: c.undo_delete(4), "POST", "/v1/agent/deletions/4/undo", {}),
    (
        *("undo_delete", lambda c: c.undo_delete(4, fence=9)),
        *("POST", "/v1/agent/deletions/4/undo", {"fence": 9}),
    ),
    (
        "reinforce_memory",
        lambda c: c.reinforce_memory("m"),
        "POST",
        "/v1/agent/reinforce",
        {"memory_id": "m", "factor": 1.2},
    ),
    ("get_versions", lambda c: c.get_versions("s/m"), "GET", "/v1/agent/versions/s/m", {}),
    ("why_forgotten", lambda c: c.why_forgotten("m"), "GET", "/v1/agent/fate/m", {}),
    (
        "search_memory",
        lambda c: c.search_memory("q", "fact", 3, "p"),
        "POST",
        "/v1/agent/search",
        {
            "query": "q",
            "memory_type": "fact",
            "limit": 3,
            "parent_id": "p",
            "search_type": "hybrid",
        },
    ),
    (
        "semantic_search",
        lambda c: c.semantic_search("q", 2, {"tags": ["x"]}),
        "POST",
        "/v1/agent/search",
        {"query": "q", "limit": 2, "filters": {"tags": ["x"]}, "search_type": "meaning"},
    ),
    (
        "search_agent_memories",
        lambda c: c.search_agent_memories(
            "q", False, "words", 4, memory_type="fact", parent_id="p", filters={}, min_score=0.5
        ),
        "POST",
        "/v1/agent/search",
        {
            "query": "q",
            "include_shared_memories": False,
            "search_type": "words",
            "limit": 4,
            "memory_type": "fact",
            "parent_id": "p",
            "filters": {},
            "min_score": 0.5,
        },
    ),
    (
        "get_children",
        lambda c: c.get_children("p", 5, "importance", "asc"),
        "GET",
        "/v1/agent/children/p",
        {"limit": "5", "sort_field": "importance", "sort_order": "asc"},
    ),
    (
        "add_relationship",
        lambda c: c.add_relationship("a", "b", "follows"),
        "POST",
        "/v1/agent/relationships",
        {"from_id": "a", "to_id": "b", "type": "follows", "strength": 1.0},
    ),
    (
        "remove_relationship",
        lambda c: c.remove_relationship(5, fence=2),
        "DELETE",
        "/v1/agent/relationships/5",
        {"fence": "2"},
    ),
    (
        "get_related_memories",
        lambda c: c.get_related_memories("a", "follows", "incoming", 2),
        "GET",
        "/v1/agent/relationships/a",
        {"type": "follows", "direction": "incoming", "limit": "2"},
    ),
    ("create_session", lambda c: c.create_session(), "POST", "/v1/agent/sessions", {}),
    (
        "create_context_group",
        lambda c: c.create_context_group("g", "about", ["m"]),
        "POST",
        "/v1/agent/groups",
        {"name": "g", "description": "about", "memory_ids": ["m"]},
    ),
    (
        "add_to_group",
        lambda c: c.add_to_group(3, "m"),
        "POST",
        "/v1/agent/groups/3/members",
        {"memory_ids": ["m"]},
    ),
    (
        "get_memories_by_group",
        lambda c: c.get_memories_by_group(3),
        "GET",
        "/v1/agent/groups/3/memories",
        {"limit": "50"},
    ),
    (
        "share_with_agents",
        lambda c: c.share_with_agents("m", ["a", "b"], "write", 60),
        "POST",
        "/v1/shares",
        {"memory_id": "m", "agents": ["a", "b"], "permission": "write", "expires_in_s": 60},
    ),
    ("revoke_share", lambda c: c.revoke_share(2), "DELETE", "/v1/shares/2", {}),
    (
        "list_shares",
        lambda c: c.list_shares("m", 5, 9),
        "GET",
        "/v1/shares",
        {"memory_id": "m", "limit": "5", "before": "9"},
    ),
    ("list_agents", lambda c: c.list_agents(), "GET", "/v1/agents", {}),
    (
        "get_agent_memory_slice",
        lambda c: c.get_agent_memory_slice("a", 9, "next"),
        "GET",
        "/v1/agents/a/slice",
        {"limit": "9", "cursor": "next"},
    ),
    (
        "get_memory_allocation",
        lambda c: c.get_memory_allocation(),
        "GET",
        "/v1/agents/own/allocation",
        {},
    ),
    (
        "acquire_lock",
        lambda c: c.acquire_lock("m"),
        "POST",
        "/v1/locks",
        {"memory_id": "m", "lease_s": 300, "wait_s": 30},
    ),
    (
        "renew_lock",
        lambda c: c.renew_lock("m", 7),
        "POST",
        "/v1/locks/renew",
        {"memory_id": "m", "fence": 7, "lease_s": 300},
    ),
    (
        "release_lock",
        lambda c: c.release_lock("m", 7),
        "POST",
        "/v1/locks/release",
        {"memory_id": "m", "fence": 7},
    ),
    ("list_locks", lambda c: c.list_locks(), "GET", "/v1/locks", {}),
    ("list_conflicts", lambda c: c.list_conflicts(), "GET", "/v1/conflicts", {"state": "open"}),
    ("get_conflict", lambda c: c.get_conflict("c"), "GET", "/v1/conflicts/c", {}),
    (
        "resolve_conflict",
        lambda c: c.resolve_conflict("c", choose="ours", fence=2),
        "POST",
        "/v1/conflicts/c/resolve",
        {"choose": "ours", "fence": 2},
    ),
    (
        "undo_resolution",
        lambda c: c.undo_resolution("c", fence=2),
        "POST",
        "/v1/conflicts/c/undo",
        {"fence": 2},
    ),
    ("get_sync_statistics", lambda c: c.get_sync_statistics(), "GET", "/v1/agents/statistics", {}),
    (
        "get_coordinator_status",
        lambda c: c.get_coordinator_status(),
        "GET",
        "/v1/agents/coordinator",
        {},
    ),
]


@pytest.mark.parametrize(("name", "ask", "method", "path", "sent"), ASKED)
def test_a_method_asks_for(  # noqa: PLR0917
    open_client: Any, hub: Any, name: str, ask: Ask, method: str, path: str, sent: Any
) -> None:
    hub.says = lambda _: httpx.Response(200, json={"session_id": "s"})
    assert ask(open_client(agent_id="own"))["status"] == "success"
    asked = hub.last
    assert (asked.method, asked.url.path) == (method, path)
    assert (json.loads(asked.content) if asked.content else dict(asked.url.params)) == sent


def _by_place(callable_: Any) -> str:
    parameters = inspect.signature(callable_).parameters.values()
    return ", ".join(
        one.name if one.default is one.empty else f"{one.name}={one.default!r}"
        for one in parameters
        if one.kind is one.POSITIONAL_OR_KEYWORD and one.name != "self"
    )
