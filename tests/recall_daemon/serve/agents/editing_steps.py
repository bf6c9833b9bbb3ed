"""Updates and conflicts of one memory, `m`, as an agent asks for them over HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

MINUTE = timedelta(minutes=1)


async def added(agent: Any, content: str = "One. Two. Three.", **more: Any) -> tuple[str, str]:
    """A memory's id and its version."""
    told = await agent.post("agent/memories", {"content": content, "memory_id": "m", **more})
    return told["memory_id"], told["version"]


async def update(agent: Any, fleet: Any, name: str, **body: Any) -> Any:
    """An update, a minute after what came before."""
    fleet.hub.clock[0] += MINUTE
    answer = await agent.ask("PATCH", f"agent/memories/{name}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def content(agent: Any, name: str = "m") -> str:
    return str((await agent.get(f"agent/memories/{name}"))["memory"]["content"])


async def conflicts(agent: Any, **query: Any) -> list[Any]:
    return list((await agent.get("conflicts", **query))["conflicts"])


async def waiting(agent: Any, fleet: Any) -> str:
    """A conflict that waits for somebody."""
    _, first = await added(agent)
    await update(agent, fleet, "m", content="Mine.", base_version=first)
    told = await update(
        agent, fleet, "m", content="Yours.", base_version=first, strategy="manual_review"
    )
    assert (told["outcome"], await content(agent)) == ("conflict", "Mine.")
    [one] = await conflicts(agent)
    assert one["conflict_id"] == told["conflict_id"]
    return str(told["conflict_id"])
