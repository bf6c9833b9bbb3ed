"""Each resolution is in the audit log: the hub's own, and whoever asked for one."""

from __future__ import annotations

from typing import Any


async def clash(agent: Any, **terms: Any) -> str:
    """Two edits of one version; the conflict's id."""
    told = await agent.post("agent/memories", {"content": "One.", "memory_id": "m"})
    for text in ("Mine.", "Yours."):
        body = {"content": text, "base_version": told["version"], **terms}
        answer = await agent.ask("PATCH", "agent/memories/m", json=body)
    return str(answer.json()["conflict_id"])


def resolved(fleet: Any) -> list[Any]:
    """Who resolved what how, the newest first."""
    found = fleet.hub.hub.core.operations.audit(action="conflict.resolved")["entries"]
    return [
        (one["actor"], one["body"]["conflict"], one["body"].get("strategy"), one["body"]["ids"])
        for one in found
    ]


async def test_what_the_hub_resolves_is_in_the_audit_log_once(fleet: Any) -> None:
    agent = fleet(agent="helper")
    conflict = await clash(agent)
    assert resolved(fleet) == [("hub", conflict, "latest_wins", ["m"])]
    await agent.ask("PATCH", "agent/memories/m", json={"tags": ["later"]})
    assert len(resolved(fleet)) == 1


async def test_a_strategy_that_a_call_names_is_in_the_audit_log(fleet: Any) -> None:
    conflict = await clash(fleet(agent="helper"), strategy="highest_importance")
    told = ("loopback/helper", conflict, "highest_importance", ["m"])
    assert resolved(fleet) == [told]


async def test_what_waits_is_not_in_the_audit_log_until_somebody_decides(fleet: Any) -> None:
    agent = fleet(agent="helper")
    conflict = await clash(agent, strategy="manual_review")
    assert resolved(fleet) == []
    await agent.post(f"conflicts/{conflict}/resolve", {"choose": "ours"})
    assert [one[:2] for one in resolved(fleet)] == [("loopback/helper", conflict)]
