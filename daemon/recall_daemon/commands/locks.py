"""`recalld locks`: who holds locks on memories and who waits, and taking one away."""

from __future__ import annotations

from cyclopts import App

from recall_daemon.commands.program import AsJson, Config, app, open_agents, print_answer

locks = App(name="locks", help="Locks on memories.")
app.command(locks)


@locks.default
def list_(*, json_: AsJson = False, config: Config = None) -> None:
    """Who holds what until when, and who waits."""
    from recall_daemon.agent_tables import print_locks

    with open_agents(config) as hub:
        answer = hub.locks()
    print_answer(answer, json_, lambda console: print_locks(console, answer))


@locks.command
def force_release(
    memory: str, /, *, reason: str, json_: AsJson = False, config: Config = None
) -> None:
    """Take a lock away from its holder, whose fence is good for nothing from then on.

    Parameters
    ----------
    reason
        For the audit log.
    """
    from recall_daemon.tables import print_fields

    with open_agents(config) as hub:
        answer = hub.force_release(memory, reason)
    print_answer(answer, json_, lambda console: print_fields(console, answer["released"]))
