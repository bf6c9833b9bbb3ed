"""Reinforcing over HTTP: who may, under whose lock, once, and what it leaves behind."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from recall_daemon.store import audit_log


async def reinforce(agent: Any, name: str, **more: Any) -> float:
    told = await agent.post("agent/reinforce", {"memory_id": name, **more})
    assert told["memory_id"] == name
    return float(told["new_importance"])


async def importance(agent: Any, name: str) -> float:
    return float((await agent.get(f"agent/memories/{name}"))["memory"]["importance"])


async def test_reinforcing_moves_the_anchor(fleet: Any) -> None:
    agent = fleet(agent="guard")
    name = await agent.add("the gate is shut at night", importance=0.5)
    version = (await agent.get(f"agent/memories/{name}"))["memory"]["version"]
    fleet.hub.clock[0] += timedelta(days=2)
    assert await importance(agent, name) == pytest.approx(0.5 * 0.9**2)
    assert await importance(agent, name) == pytest.approx(0.5 * 0.9**2)  # reading moves nothing
    assert await reinforce(agent, name) == pytest.approx(0.5 * 0.9**2 * 1.2)
    fleet.hub.clock[0] += timedelta(days=1)
    assert await importance(agent, name) == pytest.approx(0.5 * 0.9**3 * 1.2, abs=1e-6)
    assert await reinforce(agent, name, factor=100) == 1.0
    memory = (await agent.get(f"agent/memories/{name}"))["memory"]
    assert (memory["version"], memory["base_importance"]) == (version, 1.0)


async def test_what_has_no_memory_tier_is_reinforced_and_does_not_decay(fleet: Any) -> None:
    agent = fleet(agent="guard")
    old = {"system": "agents", "memory_id": "old", "text": "x", "importance": 0.5}
    await agent.post("memories", {**old, "agent_id": "guard"})
    assert await reinforce(agent, "old", factor=1.5) == 0.75
    fleet.hub.clock[0] += timedelta(days=9)
    assert await importance(agent, "old") == 0.75


async def test_a_retry_with_the_same_key_reinforces_once(fleet: Any) -> None:
    agent = fleet(agent="guard")
    body = {"memory_id": await agent.add("x", importance=0.5)}
    first = await agent.post("agent/reinforce", body, key="k")
    assert await agent.post("agent/reinforce", body, key="k") == first
    assert await importance(agent, body["memory_id"]) == pytest.approx(0.6)


async def test_another_agent_may_not(fleet: Any) -> None:
    name = await fleet(agent="guard").add("x")
    refused = await fleet(agent="helper").refused(
        "POST", "agent/reinforce", json={"memory_id": name}
    )
    assert refused == (404, "memory_not_found")


async def test_a_lock_is_asked_for_its_fence(fleet: Any) -> None:
    guard = fleet(agent="guard")
    name = await guard.add("x")
    lock = (await guard.post("locks", {"memory_id": name}))["lock"]
    other = fleet(agent="guard", session="another")
    asked = {"memory_id": name}
    assert (await other.refused("POST", "agent/reinforce", json=asked))[0] == 423
    assert (await guard.refused("POST", "agent/reinforce", json=asked))[0] == 422
    stale = {**asked, "fence": lock["fence"] - 1}
    assert (await guard.refused("POST", "agent/reinforce", json=stale))[0] == 409
    assert await reinforce(guard, name, fence=lock["fence"]) == pytest.approx(0.6)


@pytest.mark.parametrize("wrong", [{"factor": 0}, {"factor": "2"}, {"factor": 1e9}, {"x": 1}])
async def test_what_cannot_be_is_refused(fleet: Any, wrong: dict[str, Any]) -> None:
    agent = fleet(agent="guard")
    body = {"memory_id": await agent.add("x"), **wrong}
    assert (await agent.refused("POST", "agent/reinforce", json=body))[0] == 422


async def test_it_is_in_the_audit_log(fleet: Any) -> None:
    agent = fleet(agent="guard")
    name = await agent.add("x", importance=0.5)
    await reinforce(agent, name)
    with fleet.hub.hub.core.store.read() as connection:
        [entry] = audit_log.newest(connection, 1, action="memory.reinforced")
    assert name in entry.body
    assert entry.actor.endswith("/guard")


async def test_the_importance_that_is_served_is_the_one_that_counts(fleet: Any) -> None:
    """Of an edit that waits in a conflict nothing counts; once it is decided for, its importance
    falls from then on."""
    agent = fleet(agent="helper")
    told = await agent.post("agent/memories", {"content": "x", "memory_id": "m"})
    terms = {"base_version": told["version"], "strategy": "manual_review"}
    for each in (0.25, 0.75):
        fleet.hub.clock[0] += timedelta(microseconds=1)
        body = {"importance": each, **terms}
        answer = await agent.ask("PATCH", "agent/memories/m", json=body)
    assert await importance(agent, "m") == pytest.approx(0.25)
    fleet.hub.clock[0] += timedelta(days=7)
    conflict = answer.json()["conflict_id"]
    await agent.post(f"conflicts/{conflict}/resolve", {"choose": "theirs"})
    assert await importance(agent, "m") == pytest.approx(0.75)
    fleet.hub.clock[0] += timedelta(days=1)
    assert await importance(agent, "m") == pytest.approx(0.75 * 0.9)
    await agent.post(f"conflicts/{conflict}/undo", {})
    assert await importance(agent, "m") == pytest.approx(0.25)
