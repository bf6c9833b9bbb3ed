"""`recalld agents`: who shares memories, what each has, and how all of them stand."""

from __future__ import annotations

from cyclopts import App

from recall_daemon.commands.program import AsJson, Config, app, open_agents, print_answer

agents = App(name="agents", help="Agents that share memories.")
app.command(agents)


@agents.default
def list_(*, json_: AsJson = False, config: Config = None) -> None:
    """The agents of the settings."""
    from recall_daemon.agent_tables import print_agents

    with open_agents(config) as hub:
        answer = hub.agents()
    print_answer(answer, json_, lambda console: print_agents(console, answer))


@agents.command(name="slice")
def slice_(
    name: str,
    /,
    *,
    limit: int = 50,
    cursor: str | None = None,
    json_: AsJson = False,
    config: Config = None,
) -> None:
    """What an agent wrote, newest first, and who holds locks on it.

    Parameters
    ----------
    cursor
        Where the page starts, as the answer before named it.
    """
    from recall_daemon.agent_tables import print_slice

    with open_agents(config) as hub:
        answer = hub.slice(name, limit, cursor)
    print_answer(answer, json_, lambda console: print_slice(console, answer))


@agents.command
def allocation(name: str, /, *, json_: AsJson = False, config: Config = None) -> None:
    """How many memories and bytes, measured, an agent has."""
    from recall_daemon.tables import print_fields

    with open_agents(config) as hub:
        answer = hub.allocation(name)
    print_answer(answer, json_, lambda console: print_fields(console, answer))


@agents.command
def statistics(*, json_: AsJson = False, config: Config = None) -> None:
    """Counts over all agents: memories, versions, conflicts, shares, locks, reads."""
    from recall_daemon.agent_tables import print_statistics

    with open_agents(config) as hub:
        answer = hub.statistics()
    print_answer(answer, json_, lambda console: print_statistics(console, answer))
