"""What agents have, find and share, asked over HTTP."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from recall_daemon.access.tokens import Asked
from recall_daemon.agents import read_log


async def settled(fleet: Any) -> None:
    """Everything is indexed and has its vector."""
    assert await fleet.hub.hub.finish() == 0


async def found(agent: Any, query: str | None = "harbour", **asked: Any) -> dict[str, Any]:
    answer = await agent.post("agent/search", {"query": query, "limit": 50, **asked})
    assert answer["count"] == len(answer["results"])
    return {hit["memory"]["content"]: hit for hit in answer["results"]}


async def test_a_search_says_whose_a_hit_is_and_why_it_may_be_seen(fleet: Any) -> None:
    guard, helper = fleet(agent="guard"), fleet(agent="helper")
    await helper.add("harbour mine")
    shared = await guard.add("harbour shared")
    await guard.add("harbour global", category="system_knowledge")
    await guard.add("harbour by rule", tags=["open"])
    await guard.add("harbour hidden")
    await guard.post("shares", {"memory_id": shared, "agents": ["helper"]})
    rule_id = (await fleet().post("share-rules", {"tag": "open", "targets": ["*"]}))["rule_id"]
    await settled(fleet)
    for search_type in ("words", "meaning", "hybrid"):
        hits = await found(helper, search_type=search_type)
        assert {
            text: (hit["is_shared"], hit["source_agent"], hit["seen_by"])
            for text, hit in hits.items()
        } == {
            "harbour mine": (False, "helper", "own"),
            "harbour shared": (True, "guard", "shared by guard"),
            "harbour global": (True, "guard", "category system_knowledge"),
            "harbour by rule": (True, "guard", f"rule {rule_id}"),
        }
        assert all(hit["score"] is not None for hit in hits.values())
    assert set(await found(helper, include_shared_memories=False)) == {"harbour mine"}
    newest = await found(helper, None)
    assert set(newest) == set(hits)
    assert {hit["score"] for hit in newest.values()} == {None}
    assert (await found(fleet()))["harbour hidden"]["seen_by"] == "reach"


async def test_each_request_that_reads_across_agents_is_one_entry(fleet: Any) -> None:
    guard, helper = fleet(agent="guard"), fleet(agent="helper")
    shared = await guard.add("harbour shared")
    await guard.post("shares", {"memory_id": shared, "agents": ["helper"]})
    base = (await guard.get(f"agent/memories/{shared}"))["memory"]["version"]
    for text in ("harbour mine", "harbour yours"):
        terms = {"base_version": base, "strategy": "manual_review"}
        body = {"content": text, **terms}
        told = await guard.ask("PATCH", f"agent/memories/{shared}", json=body)
    conflict = told.json()["conflict_id"]
    await settled(fleet)
    log = fleet.hub.hub.core.operations.audit
    for number, read in enumerate(
        (
            lambda: found(helper),
            lambda: found(helper, None),
            lambda: helper.get("agents/guard/slice"),
            lambda: helper.get(f"memories/agents/{shared}"),
            lambda: helper.post("search", {"query": "harbour"}),
            lambda: helper.get(f"agent/versions/{shared}"),
            lambda: helper.get(f"conflicts/{conflict}"),
        ),
        start=1,
    ):
        await read()
        entries = log(action="memories.read_across")["entries"]
        assert len(entries) == number
        assert entries[0]["body"]["ids"] == [f"agents/{shared}"]
        assert entries[0]["body"]["of"] == {"guard": 1}


async def test_what_the_audit_log_cannot_take_down_is_not_told(
    fleet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard, helper = fleet(agent="guard"), fleet(agent="helper")
    shared = await guard.add("harbour shared")
    await guard.post("shares", {"memory_id": shared, "agents": ["helper"]})
    await settled(fleet)
    monkeypatch.setattr(read_log, "WAIT_S", 0.05)
    goes_on = threading.Event()
    busy = fleet.hub.hub.core.store.submit(lambda _: goes_on.wait(30))
    try:
        for method, path, body in (
            ("GET", f"agent/memories/{shared}", None),
            ("POST", "agent/memories/get", {"ids": [shared]}),
            ("POST", "agent/search", {"query": "harbour"}),
            ("POST", "search", {"query": "harbour"}),
            ("GET", f"memories/agents/{shared}", None),
            ("GET", "agents/guard/slice", None),
        ):
            answer = await helper.ask(method, path, json=body)
            assert answer.status_code == 503, path
            assert "the audit log cannot take down" in answer.json()["detail"]
            assert "harbour" not in answer.text
        assert (await guard.get(f"agent/memories/{shared}"))["memory"]["content"]
    finally:
        goes_on.set()
        busy.result(10)
        monkeypatch.undo()
    assert [hit["source_agent"] for hit in (await found(helper)).values()] == ["guard"]


async def test_a_search_is_narrowed_before_the_best_are_taken(fleet: Any) -> None:
    agent = fleet(agent="helper")
    parent = await agent.add("harbour parent")
    for number in range(3):
        await agent.add(f"harbour child {number}", parent_id=parent)
        await agent.add(f"harbour plan {number}", memory_type="plan", tags=["north"])
    await agent.add("harbour plan of the south", memory_type="plan", tags=["south"])
    for number in range(30):
        await agent.add(f"harbour harbour harbour {number}")
    await settled(fleet)
    for query in ("harbour", None):
        children = await found(agent, query, parent_id=parent, limit=5)
        assert set(children) == {f"harbour child {n}" for n in range(3)}
        plans = await found(agent, query, memory_type="plan", filters={"tags": ["north"]}, limit=5)
        assert set(plans) == {f"harbour plan {n}" for n in range(3)}
    for body in ({"filters": {"colour": "red"}}, {"filters": {"since": "no time"}}, {"limit": 101}):
        status, _ = await agent.refused("POST", "agent/search", json={"query": "x", **body})
        assert status == 422
    asked = {"query": "x", "parent_id": "never"}
    assert await agent.refused("POST", "agent/search", json=asked) == (404, "memory_not_found")


async def test_a_slice_says_what_others_are_at_with_it(fleet: Any) -> None:
    agent = fleet(agent="helper", session="s")
    names = [await agent.add(f"memory {number}") for number in range(3)]
    await fleet(agent="guard").add("another's")
    lock = (await agent.post("locks", {"memory_id": names[1]}))["lock"]
    first = await agent.get("agents/helper/slice", limit=2)
    rest = await agent.get("agents/helper/slice", limit=2, cursor=first["next_cursor"])
    assert rest["next_cursor"] is None
    slots = {
        one["memory"]["memory_id"]: one["sync_metadata"]
        for one in (*first["memory_slice"], *rest["memory_slice"])
    }
    assert set(slots) == set(names)
    now = fleet.hub.clock[0].isoformat()
    assert slots[names[0]] == {
        "is_locked": False,
        "lock_holder": None,
        "has_conflicts": False,
        "last_sync_check": now,
    }
    assert slots[names[1]]["is_locked"] is True
    assert slots[names[1]]["lock_holder"] == "loopback/helper"
    assert lock["memory_id"] == names[1]
    assert first["statistics"]["memories"] == 3
    assert first["statistics"]["locked"] == 1
    assert (await fleet(agent="guard").get("agents/helper/slice"))["memory_slice"] == []


async def test_allocation_is_measured(fleet: Any) -> None:
    agent = fleet(agent="helper")
    await agent.add("ö" * 50, metadata={"a": 1})
    await agent.add("z" * 100)
    await fleet(agent="guard").add("y" * 999)
    await settled(fleet)
    told = await agent.get("agents/helper/allocation")
    assert told["memories"] == told["hot"] == told["vectors"] == 2
    assert told["text_bytes"] == 200
    assert told["metadata_bytes"] == len('{"a":1}') + len("{}")
    assert told["vector_bytes"] == 2 * 384 * 4
    assert told["total_bytes"] == sum(
        told[name] for name in ("text_bytes", "metadata_bytes", "vector_bytes", "version_bytes")
    )
    assert (await fleet(agent="guard").get("agents/helper/allocation"))["text_bytes"] == 0


async def test_the_agents_and_what_is_counted_of_all(fleet: Any) -> None:
    agents = (await fleet().get("agents"))["agents"]
    assert [agent["name"] for agent in agents] == ["guard", "helper"]
    shared = await fleet(agent="helper").add("x")
    await fleet(agent="helper").post("shares", {"memory_id": shared, "agents": ["guard"]})
    told = await fleet().get("agents/statistics")
    assert told["by_agent"] == {"helper": 1}
    assert (told["memories"], told["live_shares"], told["reads_across_agents"]) == (1, 1, 0)
    await fleet(agent="helper").post("locks", {"memory_id": shared})
    coordinator = await fleet().get("agents/coordinator")
    assert [lock["memory_id"] for lock in coordinator["locks"]] == [shared]
    assert coordinator["agents"] == ["guard", "helper"]


async def test_shares_over_http(fleet: Any) -> None:
    guard, helper = fleet(agent="guard"), fleet(agent="helper")
    name = await guard.add("x")
    body = {"memory_id": name, "agents": ["helper"], "permission": "write", "expires_in_s": 60}
    first = await guard.post("shares", body, key="k")
    assert await guard.post("shares", body, key="k") == first
    (listed,) = (await helper.get("shares"))["shares"]
    assert (listed["memory_id"], listed["permission"]) == (name, "write")
    assert (await guard.get("shares", memory_id=name))["shares"] == [listed]
    assert await fleet(agent="other").refused("GET", f"shares?memory_id={name}") == (
        404,
        "memory_not_found",
    )
    gone = f"shares/{first['share_ids'][0]}"
    assert await fleet(agent="other").refused("DELETE", gone) == (404, "memory_not_found")
    assert (await guard.delete(gone))["revoked"] is True
    assert (await guard.delete(gone))["revoked"] is True
    assert (await helper.get("shares"))["shares"] == []
    for wrong in ({"agents": []}, {"agents": ["*"]}, {"permission": "own"}, {"expires_in_s": 0}):
        status, _ = await guard.refused("POST", "shares", json={**body, **wrong})
        assert status == 422, wrong


async def test_share_rules_are_an_admins(fleet: Any) -> None:
    core = fleet.hub.hub.core
    _, instance = core.tokens.create(Asked("instance", system_id="agents"), actor="test")
    _, admin = core.tokens.create(Asked("admin"), actor="test")
    rule = {"category": "news", "targets": ["helper"]}
    assert await fleet(instance).refused("POST", "share-rules", json=rule) == (403, "forbidden")
    made = await fleet(admin).post("share-rules", rule)
    (listed,) = (await fleet(instance, agent="helper").get("share-rules"))["rules"]
    assert (listed["rule_id"], listed["category"]) == (made["rule_id"], "news")
    assert (await fleet(instance, agent="other").get("share-rules"))["rules"] == []
    assert (await fleet(admin).delete(f"share-rules/{made['rule_id']}"))["revoked"] is True
    assert (await fleet(admin).get("share-rules"))["rules"] == []
    wrong = {"targets": ["helper"]}
    assert (await fleet(admin).refused("POST", "share-rules", json=wrong))[0] == 422
