"""`recalld memory`: what agents do with memories, done by hand."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from recall_daemon.agents.config import Strategy
from recall_daemon.commands.program import (
    NOBODY,
    AsJson,
    Config,
    Fence,
    Speaker,
    Text,
    app,
    given_text,
    open_acting,
    print_answer,
    print_told,
)
from recall_daemon.errors import AgentInvalid
from recall_daemon.operations import Json

memory = App(name="memory", help="Memories as agents add, read, change, delete and share them.")
app.command(memory)


@memory.command
def add(
    content: Text,
    /,
    *,
    memory_id: Annotated[str | None, Parameter(name="--id")] = None,
    memory_type: Annotated[str, Parameter(name="--type")] = "general",
    tier: Literal["short", "medium", "long"] = "short",
    importance: float = 0.5,
    tag: tuple[str, ...] = (),
    category: str | None = None,
    parent: str | None = None,
    metadata: str | None = None,
    speaker: Speaker = NOBODY,
    json_: AsJson = False,
    config: Config = None,
) -> None:
    """Add one; `-` reads it from standard input.

    Parameters
    ----------
    parent
        The memory that it hangs below.
    metadata
        A JSON object.
    """
    body: Json = {
        "content": given_text(content),
        "memory_type": memory_type,
        "memory_tier": tier,
        "importance": importance,
        "tags": list(tag),
        "metadata": _object(metadata) or {},
        "category": category,
        "parent_id": parent,
        "memory_id": memory_id,
    }
    with open_acting(config, speaker) as hub:
        answer = hub.add({name: value for name, value in body.items() if value is not None})
    print_told(answer, json_)


@memory.command
def get(
    name: str,
    /,
    *names: str,
    speaker: Speaker = NOBODY,
    json_: AsJson = False,
    config: Config = None,
) -> None:
    """Show some: importance as it is now, version, tier."""
    from recall_daemon.agent_tables import print_memories

    with open_acting(config, speaker) as hub:
        answer = hub.get([name, *names])
    print_answer(answer, json_, lambda console: print_memories(console, answer))


@memory.command
def children(
    name: str,
    /,
    *,
    limit: int = 50,
    sort_field: Literal["created_at", "updated_at", "importance"] = "created_at",
    sort_order: Literal["asc", "desc"] = "desc",
    speaker: Speaker = NOBODY,
    json_: AsJson = False,
    config: Config = None,
) -> None:
    """Those whose parent it is."""
    from recall_daemon.agent_tables import print_results

    with open_acting(config, speaker) as hub:
        answer = hub.children(name, limit, sort_field, sort_order)
    print_answer(answer, json_, lambda console: print_results(console, answer))


@memory.command
def search(
    query: str | None = None,
    /,
    *,
    search_type: Literal["hybrid", "words", "meaning"] = "hybrid",
    shared: bool = True,
    memory_type: Annotated[str | None, Parameter(name="--type")] = None,
    parent: str | None = None,
    system: tuple[str, ...] = (),
    project: tuple[str, ...] = (),
    kind: tuple[str, ...] = (),
    tag: tuple[str, ...] = (),
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 10,
    min_score: float = 0.0,
    speaker: Speaker = NOBODY,
    json_: AsJson = False,
    config: Config = None,
) -> None:
    """What the speaker sees, with why; without a query the newest.

    A filter given twice means either.

    Parameters
    ----------
    shared
        Also what other agents share.
    """
    from recall_daemon.agent_tables import print_agent_hits
    from recall_daemon.agents.slices import SearchAsked

    asked = SearchAsked(
        query=query,
        include_shared=shared,
        search_type=search_type,
        memory_type=memory_type,
        parent_id=parent,
        filters={
            "system": list(system),
            "project": list(project),
            "kind": list(kind),
            "tags": list(tag),
            "since": since and since.isoformat(),
            "until": until and until.isoformat(),
        },
        limit=limit,
        min_score=min_score,
    )
    with open_acting(config, speaker, searching=query is not None) as hub:
        answer = hub.search(asked)
    print_answer(answer, json_, lambda console: print_agent_hits(console, answer))


@memory.command
def update(
    name: str,
    /,
    *,
    content: Text | None = None,
    memory_type: Annotated[str | None, Parameter(name="--type")] = None,
    importance: float | None = None,
    tag: tuple[str, ...] | None = None,
    category: str | None = None,
    metadata: str | None = None,
    pinned: bool | None = None,
    base_version: str | None = None,
    strategy: Strategy | None = None,
    fence: Fence = None,
    speaker: Speaker = NOBODY,
    json_: AsJson = False,
    config: Config = None,
) -> None:
    """Change what is named; the rest stays.

    Parameters
    ----------
    content
        `-` reads it from standard input.
    tag
        All of them: they take the place of those there are.
    metadata
        A JSON object, in place of what there is.
    base_version
        The version that you knew: what others changed since is merged, or is a conflict.
    strategy
        How a conflict is resolved that this change meets.
    """
    from recall_daemon.agents.editing import Terms

    changes: dict[str, Any] = {
        "content": None if content is None else given_text(content),
        "memory_type": memory_type,
        "importance": importance,
        "tags": None if tag is None else list(tag),
        "category": category,
        "metadata": _object(metadata),
        "pinned": pinned,
    }
    given = {key: value for key, value in changes.items() if value is not None}
    with open_acting(config, speaker) as hub:
        answer = hub.update(name, given, Terms(base_version, fence, strategy))
    print_told(answer, json_)


@memory.command
def delete(
    name: str,
    /,
    *,
    cascade: bool = True,
    fence: Fence = None,
    speaker: Speaker = NOBODY,
    json_: AsJson = False,
    config: Config = None,
) -> None:
    """Delete one, until `recalld undelete` brings it back, or it is purged.

    Parameters
    ----------
    cascade
        With all that hangs below it; without, its children get its own parent.
    """
    with open_acting(config, speaker) as hub:
        answer = hub.delete(name, cascade, fence)
    print_told(answer, json_)


@memory.command
def reinforce(
    name: str,
    /,
    *,
    factor: float = 1.2,
    fence: Fence = None,
    speaker: Speaker = NOBODY,
    json_: AsJson = False,
    config: Config = None,
) -> None:
    """Make one more important: what it is worth now, times the factor, at most 1."""
    with open_acting(config, speaker) as hub:
        answer = hub.reinforce(name, factor, fence)
    print_told(answer, json_)


@memory.command
def share(
    name: str,
    agent: str,
    /,
    *agents: str,
    permission: Literal["read", "write"] = "read",
    expires_in_s: float | None = None,
    speaker: Speaker = NOBODY,
    json_: AsJson = False,
    config: Config = None,
) -> None:
    """Let agents see one; `recalld shares revoke` takes it back."""
    with open_acting(config, speaker) as hub:
        answer = hub.share(name, [agent, *agents], permission, expires_in_s)
    print_told(answer, json_)


def _object(text: str | None) -> Json | None:
    if text is None:
        return None
    try:
        told = json.loads(text)
    except ValueError as error:
        raise AgentInvalid(f"the metadata is not JSON: {error}") from error
    if not isinstance(told, dict):
        raise AgentInvalid("the metadata is not a JSON object")
    return told
