"""Decisions that are undone after their sides have gone on, and conflicts that come back."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # editing_steps

from editing_steps import MINUTE, added, conflicts, content, update

from recall_daemon.access.caller import LOCAL
from recall_daemon.agents.actor import Actor
from recall_daemon.agents.decisions import Decision
from recall_daemon.agents.editing import Terms
from recall_daemon.versions.content import root_id
from recall_wire.records import Record

TAGS = ("type:general",)


async def test_a_resolution_is_undone_after_the_other_side_has_gone_on(fleet: Any) -> None:
    agent = fleet(agent="helper")
    _, first = await added(agent)
    await update(agent, fleet, "m", content="Mine.", base_version=first)
    theirs = await update(agent, fleet, "m", content="Yours.", base_version=first)
    onward = await update(agent, fleet, "m", content="Yours again.", base_version=theirs["version"])
    assert await content(agent) == "Yours again."
    fleet.hub.clock[0] += MINUTE
    undone = await agent.post(f"conflicts/{theirs['conflict_id']}/undo", {})
    assert (undone["state"], await content(agent)) == ("superseded", "Mine.")
    [waiting] = await conflicts(agent)
    assert (undone["open"], waiting["theirs"]) == ([waiting["conflict_id"]], onward["version"])
    fleet.hub.clock[0] += MINUTE
    await agent.post(f"conflicts/{waiting['conflict_id']}/resolve", {"choose": "theirs"})
    assert (await content(agent), await conflicts(agent)) == ("Yours again.", [])
    fleet.hub.clock[0] += MINUTE
    undone = await agent.post(f"conflicts/{waiting['conflict_id']}/undo", {})
    assert (undone["open"], await content(agent)) == ([waiting["conflict_id"]], "Mine.")


async def test_what_was_undone_stays_so_whatever_the_other_side_says_next(fleet: Any) -> None:
    agent = fleet(agent="helper")
    _, first = await added(agent)
    await update(agent, fleet, "m", content="Mine.", base_version=first)
    theirs = await update(agent, fleet, "m", content="Yours.", base_version=first)
    fleet.hub.clock[0] += MINUTE
    await agent.post(f"conflicts/{theirs['conflict_id']}/undo", {})
    told = await update(agent, fleet, "m", content="Yours again.", base_version=theirs["version"])
    assert (told["outcome"], await content(agent)) == ("conflict", "Mine.")
    assert [one["conflict_id"] for one in await conflicts(agent)] == [told["conflict_id"]]
    terms = {"base_version": told["version"], "strategy": "latest_wins"}
    told = await update(agent, fleet, "m", content="Yours at last.", **terms)
    assert (await content(agent), await conflicts(agent)) == ("Yours at last.", [])


async def test_a_strategy_is_of_the_conflict_that_the_edit_itself_meets(fleet: Any) -> None:
    """And not of one that is there again because of it."""
    agent, own = fleet(agent="helper"), fleet()
    _, first = await added(agent, importance=0.25)
    await update(agent, fleet, "m", content="Mine.", base_version=first)
    for text in ("Home.", "Home again."):
        fleet.hub.clock[0] += MINUTE
        body = {"memory_id": "m", "text": text, "importance": 0.25, "agent_id": "helper"}
        await own.post("memories", {"system": "agents", **body})
        if text == "Home.":
            versions = (await agent.get("agent/versions/m"))["versions"]
            home = next(one["version_id"] for one in versions if one["kind"] == "home")
    terms = {"base_version": home, "strategy": "highest_importance"}
    told = await update(agent, fleet, "m", content="Weighty.", importance=0.75, **terms)
    assert (told["outcome"], await content(agent)) == ("conflict", "Weighty.")
    one = await agent.get(f"conflicts/{told['conflict_id']}")
    assert told["version"] in (one["ours"]["version_id"], one["theirs"]["version_id"])
    assert (one["state"], await conflicts(agent)) == ("resolved", [])


@pytest.mark.parametrize("decision", [Decision("highest_importance"), Decision(choose="ours")])
async def test_whoever_has_our_side_win_has_our_word(open_test_hub: Any, decision: Any) -> None:
    """Though what both grew from says the same by now."""
    actor = Actor(LOCAL, "careful")
    async with open_test_hub(
        agents=[{"name": "careful", "conflict_strategy": "manual_review"}]
    ) as hub:
        shared = hub.hub.shared
        body = {"content": "A.", "memory_id": "m", "importance": 0.5}
        first = shared.memories.add(actor, body)["version"]

        def edit(base: str | None, content: str, importance: float) -> Any:
            hub.clock[0] += MINUTE
            changes = {"content": content, "importance": importance}
            return shared.editing.update(actor, "m", changes, Terms(base))

        def home(content: str, importance: float) -> str:
            hub.clock[0] += MINUTE
            record = Record("m", text=content, importance=importance, agent_id="careful", tags=TAGS)
            hub.hub.core.operations._posts.store("agents", [record], actor="test")
            return root_id(record)

        edit(first, "B.", 0.75)
        second = home("B.", 0.25)
        theirs = edit(second, "D.", 0.25)
        home("B.", 0.75)
        edit(None, "B.", 0.875)
        hub.clock[0] += MINUTE
        shared.review.resolve(actor, theirs["conflict_id"], decision)
        memory = shared.memories.get(actor, "m")["memory"]
        assert memory["content"] == "B."
