"""Updates, versions and conflicts, as clients and instances meet them."""

from __future__ import annotations

import os
import sys
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # editing_steps

from editing_steps import MINUTE, added, conflicts, content, update, waiting

from recall_daemon.access.caller import LOCAL
from recall_daemon.agents.actor import Actor
from recall_daemon.agents.config import Agents, AgentSetting
from recall_wire.records import Record

ADMIN = Actor(LOCAL)


async def test_equal_to_the_head_advances_and_the_same_again_is_nothing(fleet: Any) -> None:
    agent = fleet(agent="helper")
    _, first = await added(agent)
    told = await update(agent, fleet, "m", content="New.", base_version=first)
    assert (told["outcome"], told["served"]) == ("advanced", told["version"])
    memory = (await agent.get("agent/memories/m"))["memory"]
    assert (memory["content"], memory["version"]) == ("New.", told["version"])
    same = await update(agent, fleet, "m", content="New.")
    assert (same["outcome"], same["version"]) == ("unchanged", told["version"])
    listed = await agent.get("agent/versions/m")
    assert [one["version_id"] for one in listed["versions"]] == [told["version"], first]
    assert [one["content"] for one in listed["versions"]] == ["New.", "One. Two. Three."]
    assert listed["head"] == told["version"]


async def test_every_field_can_be_changed_and_what_is_not_named_stays(fleet: Any) -> None:
    agent = fleet(agent="helper")
    await added(agent, tags=["x"], metadata={"a": 1}, category="notes", importance=0.25)
    before = (await agent.get("agent/memories/m"))["memory"]
    body = {"tags": ["y"], "metadata": {"b": 2}, "category": None, "memory_type": "insight"}
    await update(agent, fleet, "m", **body, importance=0.75, pinned=True)
    after = (await agent.get("agent/memories/m"))["memory"]
    assert after["content"] == before["content"]
    assert (after["tags"], after["metadata"], after["categories"]) == (["y"], {"b": 2}, [])
    assert (after["memory_type"], after["kind"]) == ("insight", "insight")
    assert (after["importance"], after["pinned"]) == (0.75, True)


async def test_disjoint_fields_are_merged(fleet: Any) -> None:
    agent = fleet(agent="helper")
    _, first = await added(agent)
    await update(agent, fleet, "m", content="New.", base_version=first)
    told = await update(agent, fleet, "m", tags=["y"], base_version=first)
    assert told["outcome"] == "merged"
    memory = (await agent.get("agent/memories/m"))["memory"]
    assert (memory["content"], memory["tags"], memory["version"]) == ("New.", ["y"], told["served"])
    assert await conflicts(agent, state="all") == []


async def test_otherwise_a_conflict_keeps_both_branches(fleet: Any) -> None:
    agent = fleet(agent="helper")
    _, first = await added(agent)
    one = await update(agent, fleet, "m", content="Mine.", base_version=first)
    other = await update(agent, fleet, "m", content="Yours.", base_version=first)
    assert other["outcome"] == "conflict"
    assert await content(agent) == "Yours."  # the latest wins
    [conflict] = await conflicts(agent, state="resolved")
    assert conflict["conflict_id"] == other["conflict_id"]
    assert (conflict["ours"], conflict["theirs"]) == (one["version"], other["version"])
    told = await agent.get(f"conflicts/{other['conflict_id']}")
    assert told["ours"]["record"]["content"] == "Mine."
    assert told["theirs"]["record"]["content"] == "Yours."
    assert told["base"]["record"]["content"] == "One. Two. Three."
    assert {"-Mine.", "+Yours."} <= set(told["diff"])
    kept = (await agent.get("agent/versions/m"))["versions"]
    assert {"Mine.", "Yours."} <= {version["content"] for version in kept}


@pytest.mark.parametrize(
    ("decision", "text"),
    [
        ({"choose": "ours"}, "Mine."),
        ({"choose": "theirs"}, "Yours."),
        ({"content": "Both."}, "Both."),
        ({"strategy": "latest_wins"}, "Yours."),
    ],
)
async def test_a_person_resolves_a_conflict_and_any_resolution_can_be_undone(
    fleet: Any, decision: Any, text: str
) -> None:
    agent = fleet(agent="helper")
    conflict = await waiting(agent, fleet)
    fleet.hub.clock[0] += MINUTE
    told = await agent.post(f"conflicts/{conflict}/resolve", decision)
    assert (told["state"], told["open"], await content(agent)) == ("resolved", [], text)
    assert await conflicts(agent) == []
    again = await agent.refused("POST", f"conflicts/{conflict}/resolve", json=decision)
    assert again == (422, "resolution_invalid")
    fleet.hub.clock[0] += MINUTE
    undone = await agent.post(f"conflicts/{conflict}/undo", {})
    assert (undone["open"], await content(agent)) == ([conflict], "Mine.")
    fleet.hub.clock[0] += MINUTE
    again = await agent.post(f"conflicts/{conflict}/resolve", {"choose": "theirs"})
    assert (again["state"], again["resolution"]) == ("resolved", again["version"])
    assert (await content(agent), await conflicts(agent)) == ("Yours.", [])


async def test_what_the_hub_resolved_can_be_undone_after_somebody_built_on_it(fleet: Any) -> None:
    agent = fleet(agent="helper")
    _, first = await added(agent)
    await update(agent, fleet, "m", content="Mine.", base_version=first)
    told = await update(agent, fleet, "m", content="Yours.", base_version=first)
    await update(agent, fleet, "m", tags=["later"])
    fleet.hub.clock[0] += MINUTE
    undone = await agent.post(f"conflicts/{told['conflict_id']}/undo", {})
    assert undone["open"] == [told["conflict_id"]]
    fleet.hub.clock[0] += MINUTE
    await agent.post(f"conflicts/{told['conflict_id']}/resolve", {"choose": "ours"})
    memory = (await agent.get("agent/memories/m"))["memory"]
    assert (memory["content"], memory["tags"]) == ("Mine.", ["later"])


def test_category_comes_before_agent_and_default() -> None:
    guard = AgentSetting(name="guard", conflict_strategy="manual_review")
    agents = Agents([guard], category_strategies={"notes": "agent_priority"})
    assert agents.strategy((), None) == "latest_wins"
    assert agents.strategy((), "guard") == "manual_review"
    assert agents.strategy(("notes",), "guard") == "agent_priority"


async def test_edits_that_overlap_cannot_be_merged_by_sentence(fleet: Any) -> None:
    agent = fleet(agent="helper")
    conflict = await waiting(agent, fleet)
    told = await agent.refused(
        "POST", f"conflicts/{conflict}/resolve", json={"strategy": "merge_content"}
    )
    assert told == (422, "resolution_invalid")
    for wrong in ({}, {"choose": "ours", "content": "x"}, {"choose": "mine"}, {"strategy": "x"}):
        answer = await agent.ask("POST", f"conflicts/{conflict}/resolve", json=wrong)
        assert answer.status_code == 422


async def test_asked_to_merge_edits_that_overlap_the_hub_leaves_them_to_a_person(
    fleet: Any,
) -> None:
    agent = fleet(agent="helper")
    _, first = await added(agent)
    await update(agent, fleet, "m", content="Mine.", base_version=first)
    terms = {"base_version": first, "strategy": "merge_content"}
    told = await update(agent, fleet, "m", content="Yours.", **terms)
    assert (told["outcome"], await content(agent)) == ("conflict", "Mine.")
    assert [one["conflict_id"] for one in await conflicts(agent)] == [told["conflict_id"]]


async def test_a_conflict_that_was_left_to_a_person_stays_open_whatever_is_written_since(
    fleet: Any,
) -> None:
    agent = fleet(agent="helper")
    conflict = await waiting(agent, fleet)
    told = await update(agent, fleet, "m", tags=["y"])
    assert (told["outcome"], told["conflict_id"]) == ("advanced", None)
    assert [one["conflict_id"] for one in await conflicts(agent)] == [conflict]
    assert await content(agent) == "Mine."


async def test_what_was_left_to_a_person_and_then_decided_by_the_hub_stays_so(fleet: Any) -> None:
    agent = fleet(agent="helper")
    _, first = await added(agent)
    await update(agent, fleet, "m", content="Mine.", base_version=first)
    terms = {"base_version": first, "strategy": "manual_review"}
    left = await update(agent, fleet, "m", content="Yours.", **terms)
    onward = {"base_version": left["version"], "strategy": "latest_wins"}
    await update(agent, fleet, "m", tags=["x"], **onward)
    head = (await update(agent, fleet, "m", importance=0.75))["served"]
    told = await update(agent, fleet, "m", importance=0.25)
    assert told["outcome"] == "advanced"
    parents = {
        one["version_id"]: one["parents"]
        for one in (await agent.get("agent/versions/m"))["versions"]
    }
    assert parents[told["served"]] == [head]


async def test_to_choose_what_is_served_takes_back_nothing_that_was_written_since(
    fleet: Any,
) -> None:
    agent = fleet(agent="helper")
    conflict = await waiting(agent, fleet)
    await update(agent, fleet, "m", content="Mine, and more.")
    fleet.hub.clock[0] += MINUTE
    await agent.post(f"conflicts/{conflict}/resolve", {"choose": "ours"})
    assert await content(agent) == "Mine, and more."


async def test_the_text_of_a_decision_counts_whatever_the_conflict_is_about(fleet: Any) -> None:
    agent = fleet(agent="helper")
    _, first = await added(agent)
    await update(agent, fleet, "m", tags=["x"], base_version=first)
    terms = {"base_version": first, "strategy": "manual_review"}
    told = await update(agent, fleet, "m", tags=["y"], **terms)
    fleet.hub.clock[0] += MINUTE
    await agent.post(f"conflicts/{told['conflict_id']}/resolve", {"content": "Both."})
    memory = (await agent.get("agent/memories/m"))["memory"]
    assert (memory["content"], memory["tags"]) == ("Both.", ["x"])


async def test_who_resolved_a_conflict_stays_said_whatever_is_written_since(fleet: Any) -> None:
    agent = fleet(agent="helper")
    _, first = await added(agent)
    await update(agent, fleet, "m", content="Mine.", base_version=first)
    terms = {"base_version": first, "strategy": "latest_wins"}
    await update(agent, fleet, "m", content="Yours.", **terms)
    [before] = await conflicts(agent, state="resolved")
    assert before["resolved_by"].endswith("helper")
    told = await update(agent, fleet, "m", content="Ours.")
    assert told["outcome"] == "advanced"
    assert await conflicts(agent, state="resolved") == [before]


async def test_what_cannot_be_is_refused(fleet: Any) -> None:
    agent = fleet(agent="helper")
    await added(agent)
    for body in ({}, {"content": ""}, {"unknown": 1}, {"base_version": "x"}, {"importance": 2}):
        answer = await agent.ask("PATCH", "agent/memories/m", json=body)
        assert answer.status_code == 422, answer.text
    stale = {"content": "x", "base_version": "0" * 32}
    assert (await agent.ask("PATCH", "agent/memories/m", json=stale)).status_code == 422
    missing = await agent.refused("PATCH", "agent/memories/n", json={"content": "x"})
    assert missing == (404, "memory_not_found")
    assert await agent.refused("GET", "conflicts/unknown") == (404, "conflict_not_found")
    assert (await agent.ask("GET", "conflicts", params={"cursor": "x"})).status_code == 422


async def test_a_retry_with_its_key_is_done_once(fleet: Any) -> None:
    agent = fleet(agent="helper")
    await added(agent)
    options = {"json": {"content": "New."}, "headers": {"idempotency-key": "k"}}
    first = await agent.ask("PATCH", "agent/memories/m", **options)
    await update(agent, fleet, "m", content="Newer.")
    again = await agent.ask("PATCH", "agent/memories/m", **options)
    assert (first.json(), await content(agent)) == (again.json(), "Newer.")


async def test_conflicts_of_what_may_not_be_seen_are_not_there(fleet: Any) -> None:
    agent, other = fleet(agent="helper"), fleet(agent="guard")
    conflict = await waiting(agent, fleet)
    assert await conflicts(other) == []
    assert await other.refused("GET", f"conflicts/{conflict}") == (404, "conflict_not_found")
    told = await other.refused("POST", f"conflicts/{conflict}/resolve", json={"choose": "ours"})
    assert told == (404, "conflict_not_found")


async def test_an_id_that_reads_as_anothers_full_name_opens_none_of_its_conflicts(
    fleet: Any,
) -> None:
    agent, other = fleet(agent="helper", user="u"), fleet(agent="other", user="v")
    _, first = await added(agent)
    await update(agent, fleet, "m", content="A.", base_version=first)
    told = await update(
        agent, fleet, "m", content="B.", base_version=first, strategy="manual_review"
    )
    await other.add("nothing", memory_id="agents/m")
    assert await conflicts(other) == []
    one = f"conflicts/{told['conflict_id']}"
    assert await other.refused("GET", one) == (404, "conflict_not_found")
    for act in ("resolve", "undo"):
        body = {"content": "mine"} if act == "resolve" else {}
        answer = await other.refused("POST", f"{one}/{act}", json=body)
        assert answer == (404, "conflict_not_found")
    assert await content(agent) == "A."
    assert (await agent.post(f"{one}/resolve", {"choose": "theirs"}))["state"] == "resolved"


async def test_what_a_memory_said_in_a_restricted_category_is_not_there_for_the_agent(
    fleet: Any,
) -> None:
    agent, guard = fleet(agent="helper"), fleet(agent="guard")
    name, first = await added(agent, "Told nobody.", category="secret")
    await agent.post("shares", {"memory_id": name, "agents": ["guard"], "permission": "write"})
    await update(agent, fleet, name, content="Plain.", category=None)
    told = await update(
        agent, fleet, name, content="Other.", base_version=first, strategy="manual_review"
    )
    versions = (await guard.get(f"agent/versions/{name}"))["versions"]
    assert [one["content"] for one in versions] == [None, "Plain.", None]
    conflict = await guard.ask("GET", f"conflicts/{told['conflict_id']}")
    assert "Other." not in conflict.text
    assert "Told" not in conflict.text
    body = {"category": None, "importance": 0.75, "base_version": first}
    refused = await guard.refused("PATCH", f"agent/memories/{name}", json=body)
    assert refused == (422, "agent_invalid")
    assert "Told nobody." in (await agent.ask("GET", f"agent/versions/{name}")).text


async def test_pages_of_conflicts(fleet: Any) -> None:
    agent = fleet(agent="helper")
    for number in range(5):
        name = f"m{number}"
        told = await agent.post("agent/memories", {"content": "x", "memory_id": name})
        for text in ("a", "b"):
            terms = {"base_version": told["version"], "strategy": "manual_review"}
            await update(agent, fleet, name, content=text, **terms)
    found, cursor = [], None
    while True:
        query = {"limit": 2} | ({} if cursor is None else {"cursor": cursor})
        page = await agent.get("conflicts", **query)
        found += [one["memory_id"] for one in page["conflicts"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == [f"m{number}" for number in range(5)]


# Two instances, off line.

HOME = Record("m", text="One. Two.", importance=0.5)


def offline(publisher: Any, base: str, moment: Any) -> dict[str, Any]:
    """How each of three instances uploads what it made of one version when it was off line."""
    foreign = {"target_system": "laptop", "base_version": base}
    mine = Record("m", text="Mine.", importance=0.5, updated_at=moment, agent_id="chief")
    later = moment + MINUTE
    yours = Record("m", text="One. Two.", importance=0.75, updated_at=later, **foreign)
    latest = {**foreign, "updated_at": later + MINUTE, "agent_id": "temp"}
    clash = Record("m", text="Yours.", importance=0.5, **latest)
    return {
        "mine": lambda: publisher.publish("laptop", 2, [mine]),
        "yours": lambda: publisher.publish("desk", 1, [yours]),
        "clash": lambda: publisher.publish("shed", 1, [clash]),
    }


ORDERS = list(permutations(("mine", "yours", "clash")))[
    :: 1 if "RECALLD_TEST_SOAK" in os.environ else 2
]


@pytest.mark.parametrize("strategy", ["latest_wins", "manual_review", "agent_priority"])
async def test_two_instances_edit_the_same_memory_and_upload_in_either_order(
    open_test_hub: Any, publisher: Any, tmp_path: Any, strategy: str
) -> None:
    outcomes = set()
    for number, order in enumerate(ORDERS):
        own = type(publisher)(tmp_path / f"bucket-{number}")
        own.root.mkdir()
        settings = {
            "bucket_url": own.root.as_uri(),
            "system_edits": {"desk": ["laptop"], "shed": ["laptop"]},
            "conflict_strategy": strategy,
            "agents": [
                {"name": "chief", "priority": "high"},
                {"name": "temp", "priority": "low"},
            ],
        }
        async with open_test_hub(f"hub-{number}", **settings) as hub:
            own.publish("laptop", 1, [HOME])
            await hub.once()
            ask = hub.hub.shared.review
            base = ask.versions(ADMIN, "laptop/m")["head"]
            uploads = offline(own, base, hub.clock[0])
            hub.clock[0] += 10 * MINUTE
            for step in order:
                uploads[step]()
                report = await hub.once()
                assert not report.quarantined, report
            hub.verify()
            kept = {one["content"] for one in ask.versions(ADMIN, "laptop/m")["versions"]}
            assert {"Mine.", "Yours.", "One. Two."} <= kept
            found, _ = ask.conflicts(ADMIN, None, 10)
            standing = [one for one in found if one["state"] != "superseded"]
            told = tuple(sorted((one["conflict_id"], one["state"]) for one in standing))
            outcomes.add((hub.texts("laptop")["m"], hub.logical_hash(), told))
    assert len(outcomes) == 1, outcomes
    assert outcomes.pop()[0] == ("Yours." if strategy == "latest_wins" else "Mine.")


async def test_a_system_may_edit_another_only_where_it_is_allowed_to(
    open_test_hub: Any, publisher: Any
) -> None:
    async with open_test_hub() as hub:
        publisher.publish("laptop", 1, [HOME])
        await hub.once()
        edit = Record("m", text="Yours.", target_system="laptop")
        publisher.publish("desk", 1, [edit])
        report = await hub.once()
        assert report.quarantined
        assert hub.texts("laptop") == {"m": "One. Two."}


async def test_the_same_importance_again_is_nothing(fleet: Any) -> None:
    agent = fleet(agent="helper")
    await added(agent, importance=0.3)
    told = await update(agent, fleet, "m", importance=0.3)
    assert told["outcome"] == "unchanged"
