"""Relationships, groups and sessions, as clients meet them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from recall_daemon.agents import groups
from recall_daemon.store import relations
from recall_wire.records import Record


async def three(agent: Any) -> list[str]:
    return [await agent.add(name, memory_id=name) for name in ("a", "b", "c")]


async def related(agent: Any, name: str, **query: Any) -> list[tuple[str, str, str, float]]:
    found = await agent.get(f"agent/relationships/{name}", **query)
    assert found["count"] == len(found["related_memories"])
    return [
        (
            one["memory"]["memory_id"],
            one["relationship"]["direction"],
            one["relationship"]["type"],
            one["relationship"]["strength"],
        )
        for one in found["related_memories"]
    ]


async def relate(agent: Any, source: str, target: str, type_: str, strength: float) -> int:
    body = {"from_id": source, "to_id": target, "type": type_, "strength": strength}
    return int((await agent.post("agent/relationships", body))["relationship_id"])


async def test_both_directions_types_and_limits(fleet: Any) -> None:
    agent = fleet(agent="helper")
    await three(agent)
    await relate(agent, "a", "b", "follows", 0.5)
    await relate(agent, "c", "a", "follows", 0.25)
    await relate(agent, "a", "c", "contradicts", 0.75)
    out = [("c", "outgoing", "contradicts", 0.75), ("b", "outgoing", "follows", 0.5)]
    into = [("c", "incoming", "follows", 0.25)]
    assert await related(agent, "a") == out + into
    assert await related(agent, "a", direction="outgoing") == out
    assert await related(agent, "a", direction="incoming") == into
    assert await related(agent, "a", type="follows") == out[1:] + into
    assert await related(agent, "a", limit=1) == out[:1]
    assert await related(agent, "b") == [("a", "incoming", "follows", 0.5)]
    told = (await agent.get("agent/relationships/b"))["related_memories"][0]
    assert told["relationship"]["created_at"] == "2026-01-02T00:00:00+00:00"
    for wrong in ({"direction": "up"}, {"limit": 0}, {"limit": 1001}):
        asked = agent.ask("GET", "agent/relationships/a", params=wrong)
        assert (await asked).status_code == 422


async def test_the_same_again_updates_the_strength_alone(fleet: Any) -> None:
    agent = fleet(agent="helper")
    await three(agent)
    first = await relate(agent, "a", "b", "follows", 0.5)
    fleet.hub.clock[0] += timedelta(days=1)
    assert await relate(agent, "a", "b", "follows", 0.9) == first
    assert await relate(agent, "b", "a", "follows", 0.9) != first
    found = (await agent.get("agent/relationships/a", direction="outgoing"))["related_memories"]
    assert [one["relationship"]["strength"] for one in found] == [0.9]
    assert found[0]["relationship"]["created_at"].startswith("2026-01-02")


async def test_removed_it_is_gone_from_both_ends(fleet: Any) -> None:
    agent = fleet(agent="helper")
    await three(agent)
    number = await relate(agent, "a", "b", "follows", 0.5)
    await agent.delete(f"agent/relationships/{number}")
    assert await related(agent, "a") == await related(agent, "b") == []
    gone = await agent.refused("DELETE", f"agent/relationships/{number}")
    assert gone == (404, "memory_not_found")


async def test_what_may_not_be_seen_has_no_relationship(fleet: Any) -> None:
    ann, bob = fleet(agent="a", user="ann"), fleet(agent="a", user="bob")
    common = await fleet(agent="a").add("of nobody")
    mine = await ann.add("ann's")
    number = await relate(ann, mine, common, "follows", 1.0)
    assert await related(bob, common) == []
    assert await bob.refused("DELETE", f"agent/relationships/{number}") == (404, "memory_not_found")
    body = {"from_id": common, "to_id": mine, "type": "x"}
    assert (await bob.refused("POST", "agent/relationships", json=body))[0] == 404


async def test_it_takes_the_right_to_change_where_it_goes_out_from(fleet: Any) -> None:
    agent, other = fleet(agent="helper"), fleet(agent="guard")
    shown = await agent.add("to all", category="user_preferences")
    own = await other.add("own")
    body = {"from_id": shown, "to_id": own, "type": "x"}
    refused = await other.refused("POST", "agent/relationships", json=body)
    assert refused == (403, "forbidden")
    await relate(other, own, shown, "x", 1.0)


@pytest.mark.parametrize(
    "change",
    [
        {"type": None},
        {"type": ""},
        {"strength": 1.5},
        {"strength": "much"},
        {"to_id": "a"},
        {"from_id": 7},
        {"other": 1},
    ],
)
async def test_what_is_no_relationship_says_why(fleet: Any, change: Any) -> None:
    agent = fleet(agent="helper")
    await three(agent)
    body = {"from_id": "a", "to_id": "b", "type": "x", **change}
    refused = await agent.refused("POST", "agent/relationships", json=body)
    assert refused == (422, "agent_invalid")


async def test_a_lock_of_another_keeps_a_relationship_out(fleet: Any) -> None:
    agent, other = fleet(agent="helper", session="1"), fleet(agent="helper", session="2")
    await three(agent)
    fence = (await agent.post("locks", {"memory_id": "a"}))["lock"]["fence"]
    body = {"from_id": "a", "to_id": "b", "type": "x"}
    refused = await other.refused("POST", "agent/relationships", json=body)
    assert refused == (423, "memory_locked")
    await agent.post("agent/relationships", {**body, "fence": fence})


async def test_a_group_has_a_number_and_its_members_in_their_order(fleet: Any) -> None:
    agent = fleet(agent="helper")
    await three(agent)
    group = (await agent.post("agent/groups", {"name": "g", "memory_ids": ["c"]}))["group_id"]
    assert isinstance(group, int)
    members = f"agent/groups/{group}/members"
    assert await agent.post(members, {"memory_ids": ["b", "a", "c", "b"]}) == {"added": 2}
    refused = await agent.refused("POST", members, json={"memory_ids": ["a", "nobody"]})
    assert refused == (404, "memory_not_found")

    async def listed(**query: Any) -> list[str]:
        found = await agent.get(f"agent/groups/{group}/memories", **query)
        assert found["count"] == len(found["results"])
        return [one["memory_id"] for one in found["results"]]

    assert await listed() == ["c", "b", "a"]
    assert await listed(limit=2) == ["c", "b"]


async def test_a_group_is_its_agents_and_its_users(fleet: Any) -> None:
    ann = fleet(agent="helper", user="ann")
    group = (await ann.post("agent/groups", {"name": "g"}))["group_id"]
    for names in ({"agent": "helper", "user": "bob"}, {"agent": "other", "user": "ann"}):
        told = await fleet(**names).refused("GET", f"agent/groups/{group}/memories")
        assert told == await ann.refused("GET", "agent/groups/999/memories")
    assert (await fleet().get(f"agent/groups/{group}/memories"))["count"] == 0


async def test_a_retry_makes_no_second_group(fleet: Any) -> None:
    agent = fleet(agent="helper")
    first = await agent.post("agent/groups", {"name": "g"}, key="k")
    assert await agent.post("agent/groups", {"name": "g"}, key="k") == first
    again = await agent.ask(
        "POST", "agent/groups", json={"name": "h"}, headers={"idempotency-key": "k"}
    )
    assert (again.status_code, again.json()["code"]) == (422, "key_reused")


async def test_a_number_is_never_given_again_where_counters_are_behind(fleet: Any) -> None:
    """A restore brings rows back and no counters."""
    agent = fleet(agent="helper")
    first = (await agent.post("agent/groups", {"name": "g"}))["group_id"]
    store = fleet.hub.hub.core.store
    store.write(
        lambda c: c.execute("UPDATE counters SET value = 0 WHERE name = 'group'").fetchall()
    )
    assert store.write(lambda c: relations.next_id(c, "context_groups")) == first + 1


async def test_a_session_is_made_once_and_is_nobody_elses(fleet: Any) -> None:
    agent = fleet(agent="helper")
    made = (await agent.post("agent/sessions", {"metadata": {"goal": "x"}}))["session_id"]
    assert made.startswith("ses_")
    assert await agent.post("agent/sessions", {"session_id": "s"}) == {"session_id": "s"}
    assert await agent.post("agent/sessions", {"session_id": "s"}) == {"session_id": "s"}
    other = await fleet(agent="guard").refused("POST", "agent/sessions", json={"session_id": "s"})
    assert other == (422, "agent_invalid")
    for wrong in ({"session_id": ""}, {"session_id": 7}, {"metadata": []}, {"more": 1}):
        assert (await agent.refused("POST", "agent/sessions", json=wrong))[0] == 422


async def test_a_relationship_may_lead_to_another_system(fleet: Any, publisher: Any) -> None:
    publisher.publish("laptop", 1, [Record("a/b", text="far")])
    await fleet.hub.once()
    agent = fleet()
    own = await agent.add("own")
    await relate(agent, own, "laptop/a/b", "x", 1.0)
    assert await related(agent, own) == [("a/b", "outgoing", "x", 1.0)]


async def test_groups_are_listed_to_whom_they_are_for(
    fleet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "_PAGE", 2)
    ann = fleet(agent="guard", user="ann")
    memory = await ann.add("held")
    numbers = []
    for number in range(5):
        ids = [memory] if number % 2 else []
        told = await ann.post("agent/groups", {"name": f"g{number}", "memory_ids": ids})
        numbers.append(told["group_id"])
        await fleet(agent="helper", user="bob").post("agent/groups", {"name": "other"})
    listed = await ann.get("agent/groups")
    assert [one["group_id"] for one in listed["groups"]] == numbers[::-1]
    assert listed["next_before"] is None
    first = await ann.get("agent/groups", limit=3)
    rest = await ann.get("agent/groups", limit=3, before=first["next_before"])
    assert [one["name"] for one in (*first["groups"], *rest["groups"])] == [
        f"g{n}" for n in (4, 3, 2, 1, 0)
    ]
    held = await ann.get("agent/groups", memory_id=memory)
    assert [one["name"] for one in held["groups"]] == ["g3", "g1"]
    others = await fleet(agent="helper", user="bob").get("agent/groups")
    assert {one["name"] for one in others["groups"]} == {"other"}
    await fleet(agent="helper", user="bob").refused("GET", f"agent/groups?memory_id={memory}")
    status, _ = await ann.refused("GET", "agent/groups?limit=0")
    assert status == 422
