"""Whatever is posted, an answer below 500 that is JSON and tells nothing of the inside."""

from __future__ import annotations

import json
import os
from asyncio import get_running_loop, run_coroutine_threadsafe, to_thread
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXAMPLES = 1_000 if os.environ.get("RECALLD_TEST_SOAK") else 50
PATHS = (
    *("/mcp", "/mcp/v1", "/mcp/mcp/v1", "/store_memory", "/mcp/store_memory"),
    *("/batch_store_memories", "/mcp/batch_store_memories", "/mcp/agents"),
)
TOOLS = (
    *("search_memories", "get_memory", "recent_memories", "related_memories", "list_systems"),
    *("memory_stats", "store_memory", "batch_store_memories", "forget_memory"),
    *("sync_instances", "search_all_systems", "none"),
    *("add_memory", "batch_add_memories", "batch_get_memories", "get_children", "update_memory"),
    *("delete_memory", "undo_delete", "why_forgotten", "reinforce_memory", "get_memory_versions"),
    *("add_relationship", "get_related_memories", "create_context_group", "add_to_group"),
    *("create_session", "share_with_agents", "list_shares", "search_agent_memories"),
    *("get_agent_memory_slice", "list_conflicts", "get_conflict", "resolve_conflict"),
    *("renew_lock", "release_lock", "force_release_lock"),
)
NAMES = (
    *("memory_id", "id", "text", "embedding", "metadata", "memories", "query", "limit", "offset"),
    *("system_id", "threshold", "cursor", "since", "system", "tags", "max_chars", "source"),
    *("content", "memory_ids", "agent_id", "user_id", "session_id", "agents", "agent", "name"),
    *("fence", "base_version", "from_id", "to_id", "type", "filters", "conflict_id", "choose"),
    *("idempotency_key", "group_id", "deletion_id", "reason", "parent_id", "importance", "factor"),
)
ODD = (
    *(None, True, 0, -1, 10**400, 1e308, float("nan"), float("inf"), "", "\0", "\ud800", "a" * 600),
    *("2026-01-01", "\u202e", [], {}, [[0.1]], [float("nan")], {"source": "\ud83d"}),
)
values = st.recursive(
    st.sampled_from(ODD) | st.text(max_size=20) | st.integers() | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
arguments = st.dictionaries(st.sampled_from(NAMES), values, max_size=4) | values
calls = st.fixed_dictionaries(
    {
        "method": st.sampled_from(("tools/call", "tools/list", "initialize", "ping", "\ud800", 7)),
        "params": st.fixed_dictionaries({"name": st.sampled_from(TOOLS), "arguments": arguments})
        | values,
    },
    optional={"jsonrpc": st.sampled_from(("2.0", "1.0", None, [])), "id": values},
)
# Text as JSON is written by those who do not look: with NaN, and lone surrogates as escapes.
bodies = (calls | arguments).map(lambda value: json.dumps(value).encode()) | st.binary(max_size=40)

BY_HAND = (
    b"",
    b"{",
    b"null",
    b"[]",
    b"\xff\xfe{",
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": '
    + b"[" * 300
    + b"]" * 300
    + b"}",
    b'{"jsonrpc": "2.0", "id": "\\ud800", "method": "tools/list"}',
    b'{"jsonrpc": "2.0", "id": NaN, "method": "tools/call", "params": {"name": "list_systems"}}',
    b'{"memories": [' + b"0," * 2_000 + b"0]}",
    b'{"memory_id": "m", "text": "' + b"a" * (5 << 20) + b'"}',
    b"9" * 100_000,
)


def _check(answer: httpx.Response) -> None:
    assert answer.status_code < 500, answer.text[:300]
    assert "Traceback" not in answer.text
    assert "/recall_daemon/" not in answer.text
    if answer.status_code != 202:
        json.loads(answer.content)


@pytest.fixture
async def served(open_test_hub, serve):
    async with open_test_hub() as hub, serve(hub) as served:
        yield served


async def test_whatever_is_posted(served) -> None:
    loop = get_running_loop()

    async def send(path: str, body: bytes, media_type: str) -> httpx.Response:
        headers = {"content-type": media_type}
        return await served.http.post(path, content=body, headers=headers)

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), database=None)
    @given(st.sampled_from(PATHS), bodies)
    def fuzz(path: str, body: bytes) -> None:
        sent: Any = run_coroutine_threadsafe(send(path, body, "application/json"), loop)
        _check(sent.result(30))

    await to_thread(fuzz)
    for body in BY_HAND:
        for path in PATHS:
            _check(await send(path, body, "application/json"))
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "application/json5", ""):
        assert (await send("/mcp", b"{}", media_type)).status_code == 415
    assert (await served.tool("memory_stats"))["rows"] >= 0
