"""`recalld locks`: who holds locks on memories and who waits; having one, and taking one away."""

from __future__ import annotations

from cyclopts import App

from recall_daemon.commands.program import (
    NOBODY,
    AsJson,
    Config,
    Speaker,
    app,
    open_acting,
    open_agents,
    print_answer,
    print_told,
)

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
def acquire(
    memory: str,
    /,
    *,
    lease_s: float = 300.0,
    wait_s: float = 30.0,
    speaker: Speaker = NOBODY,
    json_: AsJson = False,
    config: Config = None,
) -> None:
    """Have a memory for oneself; its fence goes with every change until it is released.

    Parameters
    ----------
    lease_s
        Seconds after which it is free by itself.
    wait_s
        Seconds to wait in line for it.
    """
    with open_acting(config, speaker) as hub:
        answer = hub.acquire(memory, lease_s, wait_s)
    print_told(answer["lock"], json_)


@locks.command
def renew(
    memory: str,
    /,
    *,
    fence: int,
    lease_s: float = 300.0,
    speaker: Speaker = NOBODY,
    json_: AsJson = False,
    config: Config = None,
) -> None:
    """Keep a lock for another while, from now on."""
    with open_acting(config, speaker) as hub:
        answer = hub.renew(memory, fence, lease_s)
    print_told(answer["lock"], json_)


@locks.command
def release(
    memory: str,
    /,
    *,
    fence: int,
    speaker: Speaker = NOBODY,
    json_: AsJson = False,
    config: Config = None,
) -> None:
    """Let go of a lock, as often as it was acquired."""
    with open_acting(config, speaker) as hub:
        answer = hub.release(memory, fence)
    print_told(answer["lock"], json_)


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
