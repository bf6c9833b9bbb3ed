"""`recalld relations`, `groups` and `sessions`: how memories belong together."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import App, Parameter

from recall_daemon.commands.program import (
    NOBODY,
    AsJson,
    Config,
    Fence,
    Speaker,
    app,
    open_acting,
    print_answer,
    print_told,
)
from recall_daemon.operations import Json

relations = App(name="relations", help="Relationships between memories.")
groups = App(name="groups", help="Groups of memories.")
sessions = App(name="sessions", help="Sessions of agents.")
app.command(relations)
app.command(groups)
app.command(sessions)

Type = Annotated[str, Parameter(name="--type")]


@relations.default
def list_(
    name: str,
    /,
    *,
    type_: Annotated[str | None, Parameter(name="--type")] = None,
    direction: Literal["both", "outgoing", "incoming"] = "both",
    limit: int = 50,
    speaker: Speaker = NOBODY,
    json_: AsJson = False,
    config: Config = None,
) -> None:
    """What a memory has a relationship with, the strongest first."""
    from recall_daemon.agent_tables import print_related

    with open_acting(config, speaker) as hub:
        answer = hub.related(name, type_, direction, limit)
    print_answer(answer, json_, lambda console: print_related(console, answer))


@relations.command(name="add")
def relate(
    source: str,
    target: str,
    /,
    *,
    type_: Type,
    strength: float = 1.0,
    fence: Fence = None,
    speaker: Speaker = NOBODY,
    json_: AsJson = False,
    config: Config = None,
) -> None:
    """Relate a memory to another; the same again changes the strength."""
    body: Json = {"from_id": source, "to_id": target, "type": type_, "strength": strength}
    with open_acting(config, speaker) as hub:
        answer = hub.relate({**body, "fence": fence})
    print_told(answer, json_)


@relations.command(name="remove")
def unrelate(
    relationship: int,
    /,
    *,
    fence: Fence = None,
    speaker: Speaker = NOBODY,
    json_: AsJson = False,
    config: Config = None,
) -> None:
    """Take a relationship away, by its number."""
    with open_acting(config, speaker) as hub:
        answer = hub.unrelate(relationship, fence)
    print_told(answer, json_)


@groups.default
def list_groups(
    *,
    memory: str | None = None,
    limit: int = 50,
    before: int | None = None,
    speaker: Speaker = NOBODY,
    json_: AsJson = False,
    config: Config = None,
) -> None:
    """The groups that the speaker sees, newest first.

    Parameters
    ----------
    memory
        That this memory is in.
    before
        Go on below this group: an answer names it.
    """
    from recall_daemon.agent_tables import print_groups

    with open_acting(config, speaker) as hub:
        answer = hub.groups(memory, limit, before)
    print_answer(answer, json_, lambda console: print_groups(console, answer))


@groups.command
def show(
    group: int,
    /,
    *,
    limit: int = 50,
    speaker: Speaker = NOBODY,
    json_: AsJson = False,
    config: Config = None,
) -> None:
    """The memories of a group, by its number, in their order."""
    from recall_daemon.agent_tables import print_results

    with open_acting(config, speaker) as hub:
        answer = hub.group(group, limit)
    print_answer(answer, json_, lambda console: print_results(console, answer))


@groups.command
def create(
    name: str,
    /,
    *memories: str,
    description: str | None = None,
    speaker: Speaker = NOBODY,
    json_: AsJson = False,
    config: Config = None,
) -> None:
    """Make a group, of some memories."""
    body: Json = {"name": name, "description": description, "memory_ids": list(memories)}
    with open_acting(config, speaker) as hub:
        answer = hub.create_group(body)
    print_told(answer, json_)


@groups.command
def add(
    group: int,
    memory: str,
    /,
    *memories: str,
    speaker: Speaker = NOBODY,
    json_: AsJson = False,
    config: Config = None,
) -> None:
    """Put memories into a group: all of them, or none."""
    with open_acting(config, speaker) as hub:
        answer = hub.add_to_group(group, [memory, *memories])
    print_told(answer, json_)


@sessions.command(name="create")
def create_session(
    name: str | None = None,
    /,
    *,
    speaker: Speaker = NOBODY,
    json_: AsJson = False,
    config: Config = None,
) -> None:
    """Make a session, for `--session`; without a name it gets a new one."""
    with open_acting(config, speaker) as hub:
        answer = hub.create_session({"session_id": name})
    print_told(answer, json_)
