"""What the agents' tools do, and that they answer what the services of the hub answer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from mcp_types import TextContent

from recall_daemon.access.caller import LOOPBACK
from recall_daemon.agents.actor import actor_for
from recall_daemon.agents.review_pages import conflict_page
from recall_daemon.agents.slices import SearchAsked
from recall_daemon.serve.mcp import mount

READ = {
    *("search_agent_memories", "get_agent_memory_slice", "list_shares", "list_agents"),
    *("get_memory_allocation", "get_sync_statistics", "get_coordinator_status", "list_locks"),
    *("batch_get_memories", "get_children", "why_forgotten", "get_memory_versions"),
    *("get_related_memories", "get_memories_by_group", "list_conflicts", "get_conflict"),
    *("list_share_rules", "list_context_groups"),
}
DESTRUCTIVE = {"delete_memory", "force_release_lock"}
CHANGE = {
    *("add_memory", "batch_add_memories", "update_memory", "undo_delete", "reinforce_memory"),
    *("share_with_agents", "revoke_share", "add_relationship", "remove_relationship"),
    *("create_context_group", "add_to_group", "create_session", "resolve_conflict"),
    *("add_share_rule", "revoke_share_rule"),
    *("undo_resolution", "acquire_lock", "renew_lock", "release_lock", *DESTRUCTIVE),
}
GUARD, HELPER = {"agent_id": "guard"}, {"agent_id": "helper"}


async def test_each_endpoint_tells_of_its_own_tools_and_takes_calls_of_all(
    open_test_hub: Any, serve: Any
) -> None:
    async with open_test_hub() as hub, serve(hub) as served:
        async with served.client() as client:
            common = {tool.name for tool in (await client.list_tools()).tools}
            told = await client.call_tool("list_agents", {})
            assert told.structured_content == {"agents": []}
        async with served.client(path=mount.AGENTS) as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert (await client.call_tool("list_systems", {})).structured_content
            assert "base_version" in (client.instructions or "")
    assert set(tools) == READ | CHANGE
    assert len(common) == 11
    assert not common & set(tools)
    for name, tool in tools.items():
        assert tool.annotations.read_only_hint == (name in READ), name
        assert tool.annotations.destructive_hint == (name in DESTRUCTIVE), name
        assert tool.description
        assert {"agent_id", "user_id", "session_id"} <= set(tool.input_schema["properties"])
        assert ("idempotency_key" in tool.input_schema["properties"]) == (name in CHANGE), name


async def test_the_docs_name_each_tool_with_its_arguments(open_test_hub: Any, serve: Any) -> None:
    told = Path(__file__).parents[5].joinpath("docs/mcp.md").read_text()
    of_all = {"agent_id", "user_id", "session_id", "idempotency_key"}
    async with (
        open_test_hub() as hub,
        serve(hub) as served,
        served.client(path=mount.AGENTS) as client,
    ):
        for tool in (await client.list_tools()).tools:
            (row,) = [line for line in told.splitlines() if line.startswith(f"| `{tool.name}` |")]
            named = row.split("|")[2]
            for name in set(tool.input_schema["properties"]) - of_all:
                assert f"`{name}`" in named, (tool.name, name)


async def test_a_model_works_with_a_memory_from_its_beginning_to_its_end(
    open_test_hub: Any, serve: Any
) -> None:
    async with (
        open_test_hub(agents=[{"name": "guard"}, {"name": "helper"}]) as hub,
        serve(hub) as served,
        served.client(path=mount.AGENTS) as client,
    ):

        async def call(name: str, /, **arguments: Any) -> tuple[Any, str]:
            told = await client.call_tool(name, {**GUARD, **arguments})
            (said,) = told.content
            assert isinstance(said, TextContent)
            assert not told.is_error, said.text
            return told.structured_content, said.text

        session, _ = await call("create_session")
        added, said = await call("add_memory", content="Tokens rotate hourly.", tags=["auth"])
        name = added["memory_id"]
        assert name in said
        locked, said = await call("acquire_lock", memory_id=name, **session)
        fence = locked["lock"]["fence"]
        assert f"fence {fence}" in said
        told, said = await call("list_locks")
        assert told["locks"][0]["memory_id"] == name
        assert "loopback/guard" in said
        hub.clock[0] += timedelta(seconds=1)
        changed, said = await call(
            "update_memory", memory_id=name, content="Tokens rotate daily.", fence=fence
        )
        assert changed["outcome"] == "advanced"
        assert said.startswith("Changed.")
        _, said = await call("release_lock", memory_id=name, fence=fence, **session)
        assert said.endswith("is free.")
        told, said = await call("get_memory_versions", memory_id=name)
        assert [one["content"] for one in told["versions"]] == [
            "Tokens rotate daily.",
            "Tokens rotate hourly.",
        ]
        assert "served" in said
        told, _ = await call("reinforce_memory", memory_id=name, factor=1.5)
        assert round(told["new_importance"], 3) == 0.75
        _, said = await call("share_with_agents", memory_id=name, agents=["helper"])
        assert "share" in said
        await served.follow()
        told, said = await call("search_agent_memories", query="tokens rotate", **HELPER)
        assert [(hit["seen_by"], hit["is_shared"]) for hit in told["results"]] == [
            ("shared by guard", True)
        ]
        assert "shared by guard" in said
        deleted, said = await call("delete_memory", memory_id=name)
        assert deleted["deleted_ids"] == [name]
        told, said = await call("why_forgotten", memory_id=name)
        assert told["state"] == "deleted"
        assert f"undo_delete {deleted['deletion_id']}" in said
        await call("undo_delete", deletion_id=deleted["deletion_id"])
        told, said = await call("batch_get_memories", memory_ids=[name, "none"])
        assert told["memories"][0]["content"] == "Tokens rotate daily."
        assert told["missing"] == ["none"]
        assert "Tokens rotate daily." in said


async def test_the_tools_answer_what_the_services_answer(tools: Any) -> None:
    """Field by field: no shape leaves one out."""
    shared = tools.hub.hub.shared
    guard, actor = tools(**GUARD), actor_for(LOOPBACK, "guard")
    parent = await guard.add("The parent.", importance=0.9, category="system_knowledge")
    child = await guard.add("The child.", parent_id=parent)
    await guard("update_memory", memory_id=parent, content="One.")
    base = (await guard("get_memory_versions", memory_id=parent))["head"]
    await guard("update_memory", memory_id=parent, content="Two.", base_version=base)
    met = await guard(
        "update_memory",
        memory_id=parent,
        content="Three.",
        base_version=base,
        strategy="manual_review",
    )
    assert met["outcome"] == "conflict"
    conflict = met["conflict_id"]
    await guard("add_relationship", from_id=parent, to_id=child, type="explains", strength=0.5)
    group = await guard("create_context_group", name="g", memory_ids=[parent, child])
    await guard("share_with_agents", memory_id=child, agents=["helper"], expires_in_s=60)
    await guard("add_share_rule", targets=["guard"], tag="doors")
    await guard("acquire_lock", memory_id=child)
    gone = await guard.add("Gone.")
    await guard("delete_memory", memory_id=gone)

    one = {"memory_id": parent}
    pairs: list[tuple[str, dict[str, Any], Any]] = [
        ("batch_get_memories", {"memory_ids": [child]}, shared.memories.get_many(actor, [child])),
        ("get_children", one, shared.memories.children(actor, parent)),
        ("get_memory_versions", one, shared.review.versions(actor, parent)),
        ("get_related_memories", one, shared.relations.related(actor, parent)),
        ("get_memories_by_group", group, shared.groups.memories(actor, group["group_id"])),
        ("list_context_groups", one, shared.groups.list(actor, parent)),
        ("why_forgotten", {"memory_id": gone}, shared.fates.fate(actor, gone)),
        ("list_shares", {"memory_id": child}, shared.sharing.list(actor, child)),
        ("list_share_rules", {}, shared.share_rules.list(actor)),
        ("list_agents", {}, shared.statistics.agents(actor)),
        ("list_locks", {}, shared.locks.listed(actor)),
        ("get_memory_allocation", {}, shared.statistics.get_memory_allocation(actor, "guard")),
        ("get_sync_statistics", {}, shared.statistics.get_sync_statistics(actor)),
        ("get_coordinator_status", {}, shared.statistics.get_coordinator_status(actor)),
        ("get_agent_memory_slice", {}, shared.slices.get_agent_memory_slice(actor, "guard")),
        ("search_agent_memories", {}, shared.slices.search_agent_memories(actor, SearchAsked())),
        ("list_conflicts", {}, conflict_page(shared.review, actor, "open")),
        ("get_conflict", {"conflict_id": conflict}, shared.review.conflict(actor, conflict)),
    ]
    assert {name for name, _, _ in pairs} == READ
    for name, arguments, told in pairs:
        answer = await guard(name, **arguments)
        assert answer == told, name
        assert list(_holes(told)) == [], name

    decided = await guard("resolve_conflict", conflict_id=conflict, choose="theirs")
    assert (decided["state"], decided["open"]) == ("resolved", [])
    reopened = await guard("undo_resolution", conflict_id=conflict)
    assert (reopened["state"], reopened["open"]) == ("open", [conflict])


def _holes(told: Any) -> Iterator[str]:
    """Lists that are empty where the test means to have something in them."""
    for name in (
        "memories",
        "results",
        "versions",
        "related_memories",
        "shares",
        "locks",
        "agents",
    ):
        if isinstance(told, dict) and told.get(name) == []:
            yield name


async def test_a_call_that_is_sent_again_with_its_key_is_done_once(tools: Any) -> None:
    guard = tools(**GUARD)
    once = await guard("add_memory", content="Once.", idempotency_key="k1")
    assert await guard("add_memory", content="Once.", idempotency_key="k1") == once
    assert await guard.refused("add_memory", content="Other.", idempotency_key="k1") == (
        422,
        "key_reused",
    )
    helper = tools(**HELPER)
    assert await helper.refused("add_memory", content="Once.", idempotency_key="k1") == (
        422,
        "key_reused",
    )
    counted = await guard("get_memory_allocation")
    assert counted["memories"] == 1


async def test_what_is_null_stays_as_it_is(tools: Any) -> None:
    """Models send null for what they leave out."""
    guard = tools(**GUARD)
    name = await guard.add("A.", category="notes", tags=["t"], parent_id=None)
    await guard("update_memory", memory_id=name, content="B.", category=None, tags=None)
    (found,) = (await guard("batch_get_memories", memory_ids=[name]))["memories"]
    assert (found["content"], found["categories"], found["tags"]) == ("B.", ["notes"], ["t"])


REFUSED = [
    ("add_memory", {}, "content"),
    ("add_memory", {"content": "x", "importance": 2}, "importance"),
    ("add_memory", {"content": "x", "agent_id": ""}, "a name of an agent"),
    ("batch_add_memories", {"memories": [{"content": "x", "kind": "y"}]}, "memories.0.kind"),
    ("get_memory_allocation", {}, "agent is missing"),
    ("update_memory", {"memory_id": "none", "content": "x"}, "there is no such memory"),
    ("search_agent_memories", {"filters": {"colour": "red"}}, "the filter 'colour'"),
    ("search_agent_memories", {"search_type": "guess"}, "search_type"),
    ("list_conflicts", {"cursor": "x"}, "the cursor"),
    ("resolve_conflict", {"conflict_id": "none", "choose": "ours"}, "there is no such conflict"),
    ("resolve_conflict", {"conflict_id": "none"}, "resolved in one way"),
    ("release_lock", {"memory_id": "none", "fence": True}, "fence"),
    ("force_release_lock", {"memory_id": "none", "reason": "x"}, "nobody holds a lock"),
    ("undo_delete", {"deletion_id": 7}, "there is no such deletion"),
]


async def test_what_cannot_be_done_is_told_in_a_sentence(tools: Any) -> None:
    for name, arguments, said in REFUSED:
        status, told = await tools().ask(name, **arguments)
        assert 400 <= status < 500, name
        assert said in told["detail"], (name, told)
