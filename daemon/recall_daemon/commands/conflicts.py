"""`recalld conflicts`: the queue for review, deciding a conflict, and undoing that."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

from cyclopts import App, Parameter

from recall_daemon.agents.config import Strategy
from recall_daemon.commands.program import (
    AsJson,
    Config,
    Fence,
    app,
    open_agents,
    print_answer,
)
from recall_daemon.operations import Json

conflicts = App(name="conflicts", help="Memories that several changed at the same time.")
app.command(conflicts)


def list_(
    *,
    state: Literal["open", "resolved", "superseded", "all"] = "open",
    limit: int = 20,
    cursor: str | None = None,
    json_: AsJson = False,
    config: Config = None,
) -> None:
    """The conflicts that wait for somebody, the oldest first.

    Parameters
    ----------
    cursor
        Where the page starts, as the answer before named it.
    """
    from recall_daemon.agent_tables import print_conflicts

    with open_agents(config) as hub:
        answer = hub.conflicts(state, limit, cursor)
    print_answer(answer, json_, lambda console: print_conflicts(console, answer))


conflicts.default(list_)
conflicts.command(list_, name="list")


@conflicts.command
def show(conflict: str, /, *, json_: AsJson = False, config: Config = None) -> None:
    """Both sides of a conflict, and a diff of their texts."""
    from recall_daemon.agent_tables import print_conflict

    with open_agents(config) as hub:
        answer = hub.conflict(conflict)
    print_answer(answer, json_, lambda console: print_conflict(console, answer))


@conflicts.command
def resolve(
    conflict: str,
    /,
    *,
    choose: Literal["ours", "theirs"] | None = None,
    strategy: Strategy | None = None,
    content: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    fence: Fence = None,
    json_: AsJson = False,
    config: Config = None,
) -> None:
    """Decide a conflict in one way. The side that loses stays in the history.

    Parameters
    ----------
    choose
        The side that is served.
    strategy
        Or how a side is chosen, or both are merged.
    content
        Or a text of your own; `-` reads it from standard input.
    """
    given = sys.stdin.read() if content == "-" else content
    asked = {"choose": choose, "strategy": strategy, "content": given, "fence": fence}
    body = {name: value for name, value in asked.items() if value is not None}
    with open_agents(config) as hub:
        answer = hub.resolve(conflict, body)
    _print(answer, json_)


@conflicts.command
def undo(
    conflict: str, /, *, fence: Fence = None, json_: AsJson = False, config: Config = None
) -> None:
    """Have a resolved conflict open again."""
    with open_agents(config) as hub:
        answer = hub.undo_resolution(conflict, fence)
    _print(answer, json_)


def _print(answer: Json, as_json: bool) -> None:
    from recall_daemon.tables import print_fields

    print_answer(answer, as_json, lambda console: print_fields(console, answer))
