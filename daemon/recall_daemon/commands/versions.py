"""`recalld versions`, `why` and `undelete`: what a memory said, what became of it, and having it
back."""

from __future__ import annotations

from recall_daemon.commands.program import (
    AsJson,
    Config,
    Fence,
    app,
    open_agents,
    print_answer,
)


@app.command
def versions(name: str, /, *, json_: AsJson = False, config: Config = None) -> None:
    """Every version of a memory, SYSTEM/MEMORY_ID, newest first: who, when, what."""
    from recall_daemon.agent_tables import print_versions

    with open_agents(config) as hub:
        answer = hub.versions(name)
    print_answer(answer, json_, lambda console: print_versions(console, answer))


@app.command
def why(name: str, /, *, json_: AsJson = False, config: Config = None) -> None:
    """What became of a memory, SYSTEM/MEMORY_ID, and why it was forgotten."""
    from recall_daemon.agent_tables import print_fate

    with open_agents(config) as hub:
        answer = hub.fate(name)
    print_answer(answer, json_, lambda console: print_fate(console, answer))


@app.command
def undelete(
    deletion: int, /, *, fence: Fence = None, json_: AsJson = False, config: Config = None
) -> None:
    """Bring back all that a deletion deleted, until it is purged; `recalld why` names it."""
    from recall_daemon.tables import print_fields

    with open_agents(config) as hub:
        answer = hub.undelete(deletion, fence)
    print_answer(answer, json_, lambda console: print_fields(console, answer))
