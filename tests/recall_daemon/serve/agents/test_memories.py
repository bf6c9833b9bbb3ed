"""Agents add memories and read them, as clients do."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from recall_daemon.access.tokens import Asked
from recall_wire.records import Record


def at(name: str) -> str:
    return quote(name, safe="")


async def test_what_is_added_is_there_with_all_that_was_said(fleet: Any) -> None:
    agent = fleet(agent="helper", user="ann", session="s1")
    told = await agent.post(
        "agent/memories",
        {
            "content": "the lake is calm",
            "memory_type": "reflection",
            "memory_tier": "medium",
            "importance": 0.8,
            "metadata": {"deep": [1, {"z": None}]},
            "tags": ["x", "y"],
            "category": "weather",
        },
    )
    assert told["system_id"] == "agents"
    assert told["memory_id"].startswith("mem_")
    assert len(told["memory_id"]) == 36
    memory = (await agent.get(f"agent/memories/{told['memory_id']}"))["memory"]
    now = "2026-01-02T00:00:00+00:00"
    assert memory == {
        **{"memory_id": told["memory_id"], "system_id": "agents", "version": told["version"]},
        **{"content": "the lake is calm", "memory_type": "reflection", "memory_tier": "medium"},
        **{"importance": 0.8, "base_importance": 0.8, "metadata": {"deep": [1, {"z": None}]}},
        **{"tags": ["x", "y"], "categories": ["weather"], "parent_id": None, "agent_id": "helper"},
        **{"user_id": "ann", "session_id": "s1", "kind": "reflection", "created_at": now},
        **{"updated_at": None, "pinned": False, "tier": "hot", "text_missing": None},
    }
    plain = (await agent.get(f"agent/memories/{await agent.add('plain')}"))["memory"]
    assert (plain["memory_type"], plain["memory_tier"], plain["kind"]) == (
        "general",
        "short",
        "note",
    )
    assert plain["importance"] == 0.5


async def test_importance_falls_by_the_tier_and_is_read_the_same_twice(fleet: Any) -> None:
    agent = fleet(agent="helper")
    names = {
        tier: await agent.add(tier, memory_tier=tier, importance=0.5)
        for tier in ("short", "medium", "long")
    }
    fleet.hub.clock[0] += timedelta(days=2)
    for tier, expected in (("short", 0.405), ("medium", 0.45125), ("long", 0.49005)):
        for _ in range(2):
            memory = (await agent.get(f"agent/memories/{names[tier]}"))["memory"]
            assert memory["importance"] == pytest.approx(expected)
            assert memory["base_importance"] == 0.5


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "memory_invalid"),
        ({"content": "x", "text": "y"}, "agent_invalid"),
        ({"content": "x", "memory_tier": "eternal"}, "agent_invalid"),
        ({"content": "x", "importance": 1.1}, "memory_invalid"),
        ({"content": "x", "memory_type": " "}, "agent_invalid"),
        ({"content": "x", "category": "c" * 101}, "agent_invalid"),
        ({"content": "x", "tags": ["category:y"]}, "agent_invalid"),
        ({"content": "x", "tags": "y"}, "agent_invalid"),
        ({"content": "x", "metadata": [1]}, "memory_invalid"),
    ],
)
async def test_what_cannot_be_added_says_why(fleet: Any, body: Any, code: str) -> None:
    assert await fleet(agent="helper").refused("POST", "agent/memories", json=body) == (422, code)


async def test_a_taken_name_is_refused_also_among_posts_that_share_a_transaction(
    fleet: Any,
) -> None:
    agent = fleet(agent="helper")
    body = {"content": "one", "memory_id": "m"}
    answers = await asyncio.gather(
        *(agent.ask("POST", "agent/memories", json=body) for _ in "1234")
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    again = await agent.ask("POST", "agent/memories", json={**body, "content": "two"})
    assert (again.status_code, again.json()["code"]) == (409, "memory_exists")
    assert (await agent.get("agent/memories/m"))["memory"]["content"] == "one"


async def test_a_retry_with_its_key_adds_nothing_and_gets_the_same_answer(fleet: Any) -> None:
    agent = fleet(agent="helper")
    first = await agent.post("agent/memories", {"content": "one"}, key="k")
    fleet.hub.clock[0] += timedelta(hours=1)
    assert await agent.post("agent/memories", {"content": "one"}, key="k") == first
    assert len(fleet.hub.texts("agents")) == 1
    told = await agent.ask(
        "POST", "agent/memories", json={"content": "two"}, headers={"idempotency-key": "k"}
    )
    assert (told.status_code, told.json()["code"]) == (422, "key_reused")


async def test_a_batch_is_stored_whole_or_not_at_all(fleet: Any) -> None:
    agent = fleet(agent="helper")
    three = [{"content": f"t{n}", "memory_id": f"m{n}"} for n in range(3)]
    child = {"content": "below", "memory_id": "below", "parent_id": "m0"}
    told = await agent.post("agent/memories/batch", {"memories": [child, *three]})
    assert told["memory_ids"] == ["below", "m0", "m1", "m2"]
    assert [one["memory_id"] for one in told["memories"]] == told["memory_ids"]

    new = {"content": "new", "memory_id": "new"}
    for wrong in ({"content": ""}, {"content": "x", "memory_id": "m1"}, new):
        body = {"memories": [new, wrong]}
        assert (await agent.refused("POST", "agent/memories/batch", json=body))[0] in (409, 422)
    assert sorted(fleet.hub.texts("agents")) == ["below", "m0", "m1", "m2"]
    for size in (0, 1001):
        body = {"memories": [{"content": "x"}] * size}
        told = await agent.refused("POST", "agent/memories/batch", json=body)
        assert told == (422, "agent_invalid")


async def test_a_thousand_are_added_and_got_at_once(fleet: Any) -> None:
    agent = fleet(agent="helper")
    many = [{"content": f"t{n}"} for n in range(1000)]
    ids = (await agent.post("agent/memories/batch", {"memories": many}))["memory_ids"]
    asked = [*reversed(ids[1:]), ids[5], "absent"]
    told = await agent.post("agent/memories/get", {"ids": asked[-1000:]})
    assert told["missing"] == ["absent"]
    assert [one["memory_id"] for one in told["memories"]] == list(dict.fromkeys(asked[-1000:-1]))
    assert told["count"] == len(told["memories"])
    too_many = {"ids": ["x"] * 1001}
    assert (await agent.refused("POST", "agent/memories/get", json=too_many))[0] == 422


async def test_a_parent_is_seen_and_of_the_same_system(fleet: Any, publisher: Any) -> None:
    publisher.publish("laptop", 1, [Record("far", text="far")])
    await fleet.hub.once()
    agent = fleet()
    parent = await agent.add("parent")
    child = await agent.add("child", parent_id=f"agents/{parent}")
    assert (await agent.get(f"agent/memories/{child}"))["memory"]["parent_id"] == parent
    for wrong, code in (("nobody", 404), ("laptop/far", 422)):
        body = {"content": "x", "parent_id": wrong}
        assert (await agent.refused("POST", "agent/memories", json=body))[0] == code
    hidden = fleet(agent="helper", user="bob")
    mine = await fleet(agent="helper", user="ann").add("ann's")
    told = await hidden.refused("POST", "agent/memories", json={"content": "x", "parent_id": mine})
    assert told == (404, "memory_not_found")


async def test_a_name_means_the_own_system_first_and_a_full_name_always_that(
    fleet: Any, publisher: Any
) -> None:
    for system in ("a", "b"):
        publisher.publish(system, 1, [Record("m", text=system), Record("x", text=system)])
    await fleet.hub.once()
    agent = fleet()
    await agent.add("own", memory_id="m")
    await agent.add("odd", memory_id="a/m")
    assert (await agent.get("agent/memories/m"))["memory"]["content"] == "own"
    for name, content in ((at("a/m"), "a"), ("a/m", "a"), (at("agents/a/m"), "odd")):
        assert (await agent.get(f"agent/memories/{name}"))["memory"]["content"] == content
    assert await agent.refused("GET", "agent/memories/x") == (422, "agent_invalid")
    assert await agent.refused("GET", "agent/memories/nobody") == (404, "memory_not_found")


async def test_children_by_each_field_and_order_and_no_more_than_asked(fleet: Any) -> None:
    agent = fleet(agent="helper", user="ann")
    parent = await agent.add("parent")
    told = (("c1", 0.2, "short"), ("c2", 0.9, "short"), ("c3", 0.6, "long"))
    for name, importance, tier in told:
        fleet.hub.clock[0] += timedelta(days=2)
        more = {"importance": importance, "memory_tier": tier}
        await agent.add(name, memory_id=name, parent_id=parent, **more)
    await agent.add("grandchild", parent_id="c1")
    fleet.hub.clock[0] += timedelta(days=20)

    async def listed(**query: Any) -> list[str]:
        found = await agent.get(f"agent/children/{parent}", **query)
        assert found["count"] == len(found["results"])
        return [one["memory_id"] for one in found["results"]]

    assert await listed() == ["c3", "c2", "c1"]
    assert await listed(sort_order="asc") == ["c1", "c2", "c3"]
    assert await listed(limit=2, sort_order="asc") == ["c1", "c2"]
    # By now 0.9 has fallen below what 0.6 has kept.
    assert await listed(sort_field="importance") == ["c3", "c2", "c1"]
    assert await listed(sort_field="importance", sort_order="asc") == ["c1", "c2", "c3"]
    assert await listed(sort_field="updated_at") == ["c1", "c2", "c3"]  # nobody has a time
    for wrong in ({"limit": 0}, {"limit": 1001}, {"sort_field": "text"}, {"sort_order": "up"}):
        asked = agent.ask("GET", f"agent/children/{parent}", params=wrong)
        assert (await asked).status_code == 422


async def test_a_child_that_may_not_be_seen_takes_no_place_among_the_first(fleet: Any) -> None:
    everyone, ann, bob = fleet(), fleet(user="ann", agent="a"), fleet(user="bob", agent="a")
    parent = await fleet(agent="a").add("of nobody")
    for agent, name in ((ann, "1"), (bob, "2"), (ann, "3"), (bob, "4")):
        fleet.hub.clock[0] += timedelta(days=1)
        await agent.add(name, memory_id=name, parent_id=parent)

    async def first(agent: Any) -> list[str]:
        found = await agent.get(f"agent/children/{parent}", limit=2)
        return [one["memory_id"] for one in found["results"]]

    assert [await first(one) for one in (everyone, ann, bob)] == [
        ["4", "3"],
        ["3", "1"],
        ["4", "2"],
    ]


async def test_for_whom_a_request_is_made(fleet: Any) -> None:
    assert (await fleet(agent="").refused("GET", "agent/memories/m"))[0] == 422
    assert (await fleet(agent="x" * 201).refused("GET", "agent/memories/m"))[0] == 422
    twice = [("x-recall-user", "ann"), ("x-recall-user", "bob")]
    answer = await fleet.http.get("/v1/agent/memories/m", headers=twice)
    assert (answer.status_code, answer.json()["code"]) == (422, "agent_invalid")
    told = fleet(agent="Ümit".encode())
    memory = await told.add("x")
    assert (await told.get(f"agent/memories/{memory}"))["memory"]["agent_id"] == "Ümit"


async def test_a_reader_adds_nothing_and_an_instance_to_its_own_system(fleet: Any) -> None:
    tokens = fleet.hub.hub.core.tokens
    own = tokens.create(Asked("instance", system_id="laptop"), actor="test")[1]
    read = tokens.create(Asked("reader", systems=("laptop",)), actor="test")[1]
    told = await fleet(own, agent="helper").post("agent/memories", {"content": "x"})
    assert told["system_id"] == "laptop"
    body = {"content": "x"}
    refused = await fleet(read, agent="helper").refused("POST", "agent/memories", json=body)
    assert refused == (403, "forbidden")
    memory = await fleet(read).get(f"agent/memories/{told['memory_id']}")
    assert memory["memory"]["system_id"] == "laptop"


async def test_what_an_agent_may_not_see_it_does_not_add(fleet: Any) -> None:
    body = {"content": "x", "category": "secret"}
    told = await fleet(agent="guard").refused("POST", "agent/memories", json=body)
    assert told == (403, "forbidden")
