"""Undoing a deletion, where others are at it meanwhile, and what a purge leaves for good."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from recall_daemon.store import audit
from recall_wire.records import Record


def count(fleet: Any, sql: str) -> int:
    with fleet.hub.hub.core.store.read() as connection:
        assert audit.problems(connection) == []
        return int(connection.execute(sql).fetchall()[0][0])


async def family(agent: Any) -> None:
    """root ← child"""
    await agent.add("above", memory_id="root")
    await agent.add("below", memory_id="child", parent_id="root")


@pytest.mark.parametrize(("locked", "cascade"), [("root", "true"), ("child", "false")])
async def test_undo_is_refused_where_another_holds_a_lock_on_any_of_it(
    fleet: Any, locked: str, cascade: str
) -> None:
    agent, other = fleet(agent="helper", session="1"), fleet(agent="helper", session="2")
    await family(agent)
    fence = (await other.post("locks", {"memory_id": locked}))["lock"]["fence"]
    if locked == "root":
        told = await other.delete("agent/memories/root", cascade=cascade, fence=fence)
    else:
        await other.post("locks/release", {"memory_id": "child", "fence": fence})
        told = await agent.delete("agent/memories/root", cascade=cascade)
        fence = (await other.post("locks", {"memory_id": "child"}))["lock"]["fence"]
    undo = f"agent/deletions/{told['deletion_id']}/undo"
    assert await agent.refused("POST", undo) == (423, "memory_locked")
    await other.post("locks/release", {"memory_id": locked, "fence": fence})
    assert (await agent.post(undo, {}))["restored_ids"] == told["deleted_ids"]


async def test_whoever_holds_the_lock_of_what_was_deleted_undoes_it_with_the_fence(
    fleet: Any,
) -> None:
    agent = fleet(agent="helper")
    await family(agent)
    fence = (await agent.post("locks", {"memory_id": "root"}))["lock"]["fence"]
    told = await agent.delete("agent/memories/root", fence=fence)
    undo = f"agent/deletions/{told['deletion_id']}/undo"
    assert await agent.refused("POST", undo, json={}) == (422, "agent_invalid")
    assert len((await agent.post(undo, {"fence": fence}))["restored_ids"]) == 2


async def test_undo_moves_no_child_that_is_another_agents(fleet: Any) -> None:
    agent, other = fleet(agent="helper"), fleet(agent="guard")
    await agent.add("above", memory_id="root", category="user_preferences")
    await other.add("below", memory_id="child", parent_id="root")
    share = {"memory_id": "child", "agents": ["helper"], "permission": "write"}
    [number] = (await other.post("shares", share))["share_ids"]
    told = await agent.delete("agent/memories/root", cascade="false")
    await other.delete(f"shares/{number}")
    await agent.post(f"agent/deletions/{told['deletion_id']}/undo", {})
    child = (await other.get("agent/memories/child"))["memory"]
    assert (child["parent_id"], child["content"]) == (None, "below")


async def test_what_was_purged_does_not_come_back_with_a_snapshot_or_a_post(
    fleet: Any, publisher: Any
) -> None:
    publisher.publish("laptop", 1, [Record("m", text="private")])
    await fleet.hub.once()
    await fleet().delete("agent/memories/laptop%2Fm")
    fleet.hub.clock[0] += timedelta(days=31)
    assert fleet.hub.hub.shared.deleting.purge() == 1
    publisher.publish("laptop", 2, [Record("m", text="private")])
    await fleet.hub.once()
    fleet.hub.hub.posts.store("laptop", [Record("m", text="another")], actor="t")
    assert count(fleet, "SELECT count(record) FROM memory_versions") == 0
    assert count(fleet, "SELECT count(*) FROM conflicts") == 0


async def test_undo_brings_back_nothing_beside_what_was_forgotten_meanwhile(fleet: Any) -> None:
    agent = fleet(agent="helper")
    await agent.add("one", memory_id="a")
    await agent.add("two", memory_id="b")
    await agent.post("agent/relationships", {"from_id": "a", "to_id": "b", "type": "x"})
    await agent.post("agent/groups", {"name": "g", "memory_ids": ["a", "b"]})
    told = await agent.delete("agent/memories/a")
    forgotten = await fleet.http.request("DELETE", "/v1/memories/agents/b")
    assert forgotten.status_code == 200, forgotten.text
    await agent.post(f"agent/deletions/{told['deletion_id']}/undo", {})
    assert count(fleet, "SELECT count(*) FROM relationships") == 0
    assert count(fleet, "SELECT count(*) FROM group_members") == 1
