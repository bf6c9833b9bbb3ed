"""Every tool of the agents and every role: who may call it, and what is not there for whom."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import pytest

from recall_daemon.agents.shared import Shared
from recall_daemon.serve.mcp.agents.tools import agent_tools
from recall_daemon.serve.mcp.tool import Toolbox

# Who sees the memory that is asked about: `owner` wrote it, as guard for the user u-1. `mate` is
# guard for another user, `peer` another agent of the same system and user, without a grant.
ROLES = ("owner", "mate", "peer", "user", "other", "reader", "admin")
SEES = ("owner", "user", "reader", "admin")
CHANGES = ("owner", "user", "admin")
WRITES = ("owner", "mate", "peer", "user", "other", "admin")


@dataclass(frozen=True)
class Row:
    """A call. Those in `may` are answered with 200 or `ok`, whoever `sees` what it names with 403,
    to the others it is not there."""

    tool: str
    may: tuple[str, ...] = ROLES
    sees: tuple[str, ...] = ()
    arguments: dict[str, Any] = field(default_factory=dict)
    ok: int = 200
    missing: int = 404

    def expected(self, role: str) -> int:
        if role in self.may:
            return self.ok
        return 403 if not self.sees or role in self.sees else self.missing


def _of(tool: str, **arguments: Any) -> Row:
    return Row(tool, SEES, SEES, {"memory_id": "laptop/m1", **arguments})


def _change(tool: str, ok: int = 200, **arguments: Any) -> Row:
    return Row(tool, CHANGES, SEES, {"memory_id": "laptop/m1", **arguments}, ok)


ROWS: Final = (
    Row("search_agent_memories", arguments={"query": "tide"}),
    Row("get_agent_memory_slice", arguments={"agent": "guard"}),
    Row("list_shares"),
    Row("list_share_rules"),
    Row("add_share_rule", ("admin",), (), {"targets": ["analyst"], "tag": "public"}),
    Row("revoke_share_rule", ("admin",), (), {"rule_id": 999}, ok=404),
    Row("list_agents"),
    Row("get_memory_allocation", arguments={"agent": "guard"}),
    # The reader reads one system, the others speak for somebody or read their own.
    Row("get_sync_statistics", ("admin",)),
    Row("get_coordinator_status", ("admin",)),
    Row("list_conflicts"),
    Row("list_locks"),
    Row("list_context_groups"),
    Row("batch_get_memories", arguments={"memory_ids": ["laptop/m1"]}),
    _of("get_children"),
    _of("why_forgotten"),
    _of("get_memory_versions"),
    _of("get_related_memories"),
    Row("get_memories_by_group", (), ("nobody",), {"group_id": 999}),
    Row("get_conflict", (), ("nobody",), {"conflict_id": "none"}),
    Row("add_memory", WRITES, arguments={"content": "a tide"}),
    Row("batch_add_memories", WRITES, arguments={"memories": [{"content": "a tide"}]}),
    Row("create_context_group", WRITES, arguments={"name": "tides"}),
    Row("create_session", WRITES),
    Row("add_to_group", (), ("nobody",), {"group_id": 999, "memory_ids": []}),
    _change("share_with_agents", agents=["analyst"]),
    _change("reinforce_memory"),
    _change("update_memory", importance=0.7),
    _change("acquire_lock", wait_s=0, lease_s=0.001),
    # There is no such fence, number or conflict.
    _change("renew_lock", 409, fence=1),
    _change("release_lock", 409, fence=1),
    Row("revoke_share", (), ("nobody",), {"share_id": 999}),
    Row("undo_delete", (), ("nobody",), {"deletion_id": 999}),
    Row("remove_relationship", (), ("nobody",), {"relationship_id": 999}),
    Row("resolve_conflict", (), ("nobody",), {"conflict_id": "none", "choose": "ours"}),
    Row("undo_resolution", (), ("nobody",), {"conflict_id": "none"}),
    Row(
        "add_relationship",
        CHANGES,
        SEES,
        {"from_id": "laptop/m1", "to_id": "laptop/m2", "type": "x"},
    ),
    Row("force_release_lock", ("admin",), (), {"memory_id": "m1", "reason": "stuck"}, ok=409),
)
LAST: Final = _change("delete_memory")


@pytest.fixture
async def speakers(tools: Any) -> dict[str, Any]:
    instance = {"role": "instance", "system_id": "laptop"}
    asked = {
        "owner": {**instance, "agent_id": "guard", "user_id": "u-1"},
        "mate": {**instance, "agent_id": "guard", "user_id": "u-2"},
        "peer": {**instance, "agent_id": "helper", "user_id": "u-1"},
        "user": {**instance, "user_id": "u-1"},
        "other": {"role": "instance", "system_id": "desktop"},
        "reader": {"role": "reader", "systems": ("laptop",)},
        "admin": {"role": "admin"},
    }
    speakers = {role: tools(tools.token(**one)) for role, one in asked.items()}
    for name in ("m1", "m2"):
        await speakers["owner"].add("the crimson tide", memory_id=name)
    await tools.hub.hub.finish()
    return speakers


def test_each_tool_has_a_row(tools: Any) -> None:
    shared: Shared = tools.hub.hub.shared
    assert {tool.name for tool in Toolbox(agent_tools(shared))} == {
        row.tool for row in (*ROWS, LAST)
    }


async def test_who_may_call_what(speakers: dict[str, Any], tools: Any) -> None:
    for row in ROWS:
        for role in ROLES:
            status, told = await speakers[role].ask(row.tool, **row.arguments)
            assert status == row.expected(role), (row.tool, role, told)
            tools.hub.clock[0] += timedelta(seconds=1)  # so that each lease has run out
            if row.expected(role) == 200 and role not in SEES:
                assert "crimson" not in str(told), (row.tool, role)
    for role in (*ROLES[1:3], "reader", "other", "owner"):
        status, told = await speakers[role].ask(LAST.tool, **LAST.arguments)
        assert status == LAST.expected(role), (role, told)


async def test_what_is_not_ones_own_is_as_what_is_not_there(speakers: dict[str, Any]) -> None:
    for row in ROWS:
        if row.arguments.get("memory_id") == "laptop/m1":
            for role in set(ROLES) - set(SEES):
                here = await speakers[role].ask(row.tool, **row.arguments)
                nowhere = await speakers[role].ask(
                    row.tool, **{**row.arguments, "memory_id": "laptop/m9"}
                )
                assert _said(here) == _said(nowhere), (row.tool, role)


def _said(answer: tuple[int, dict[str, Any]]) -> tuple[int, object, object]:
    status, told = answer
    return status, told["code"], told["detail"]


async def test_a_bound_token_speaks_for_nobody_else(speakers: dict[str, Any]) -> None:
    owner = speakers["owner"]
    for names in ({"agent_id": "helper"}, {"user_id": "u-2"}):
        for row in ROWS:
            assert await owner.refused(row.tool, **{**row.arguments, **names}) == (
                403,
                "forbidden",
            ), row.tool
    own = {"agent_id": "guard", "user_id": "u-1", "session_id": "s"}
    assert (await owner("search_agent_memories", query="tide", **own))["count"] == 2


async def test_headers_bind_as_a_token_does(tools: Any) -> None:
    """What a person wrote into the settings of a client is not a model's to change."""
    by_header = tools(headers={"x-recall-agent": "guard", "x-recall-user": "u-1"})
    name = await by_header.add("the crimson tide")
    (found,) = (await by_header("batch_get_memories", memory_ids=[name]))["memories"]
    assert (found["agent_id"], found["user_id"]) == ("guard", "u-1")
    assert await by_header.refused("add_memory", content="x", agent_id="helper") == (
        403,
        "forbidden",
    )
    helper = tools(headers={"x-recall-agent": "helper"})
    assert (await helper("batch_get_memories", memory_ids=[name]))["missing"] == [name]


async def test_a_share_a_denial_and_a_revocation_by_the_tools_alone(tools: Any) -> None:
    guard, helper = tools(agent_id="guard"), tools(agent_id="helper")
    shared, secret = await helper.add("shared"), await helper.add("no", category="secret")
    numbers = []
    for name in (shared, secret):
        told = await helper("share_with_agents", memory_id=name, agents=["guard"])
        numbers += told["share_ids"]
    found = await guard("search_agent_memories")
    assert [hit["memory"]["memory_id"] for hit in found["results"]] == [shared]
    assert await guard.refused("update_memory", memory_id=shared, content="x") == (
        403,
        "forbidden",
    )
    await helper("share_with_agents", memory_id=shared, agents=["guard"], permission="write")
    await guard("update_memory", memory_id=shared, content="x")
    await helper("revoke_share", share_id=numbers[0])
    assert (await guard("search_agent_memories"))["count"] == 0
