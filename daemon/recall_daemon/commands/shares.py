"""`recalld shares`: which memories agents let others see, one by one and by rules."""

from __future__ import annotations

from cyclopts import App

from recall_daemon.commands.program import AsJson, Config, app, open_agents, print_answer

shares = App(name="shares", help="Memories that agents let others see.")
app.command(shares)


@shares.default
def list_(
    *,
    memory: str | None = None,
    limit: int = 100,
    before: int | None = None,
    json_: AsJson = False,
    config: Config = None,
) -> None:
    """The live shares, newest first.

    Parameters
    ----------
    memory
        Of this memory alone, SYSTEM/MEMORY_ID.
    before
        Go on below this share: an answer names it.
    """
    from recall_daemon.agent_tables import print_shares

    with open_agents(config) as hub:
        answer = hub.shares(memory, limit, before)
    print_answer(answer, json_, lambda console: print_shares(console, answer))


@shares.command
def revoke(share: int, /, *, json_: AsJson = False, config: Config = None) -> None:
    """Take a share back: at the next read it is gone."""
    from recall_daemon.tables import print_fields

    with open_agents(config) as hub:
        answer = hub.revoke_share(share)
    print_answer(answer, json_, lambda console: print_fields(console, answer))


@shares.command
def rules(*, json_: AsJson = False, config: Config = None) -> None:
    """The live rules that share by category and tag, oldest first."""
    from recall_daemon.agent_tables import print_rules

    with open_agents(config) as hub:
        answer = hub.share_rules()
    print_answer(answer, json_, lambda console: print_rules(console, answer))


@shares.command
def add_rule(
    *targets: str,
    source_agent: str | None = None,
    category: str | None = None,
    tag: str | None = None,
    json_: AsJson = False,
    config: Config = None,
) -> None:
    """Let agents see whatever has a category, a tag, or both.

    Parameters
    ----------
    targets
        Names of agents; * is every one.
    source_agent
        What this agent wrote alone.
    """
    from recall_daemon.agents.share_rules import RuleAsked
    from recall_daemon.tables import print_fields

    with open_agents(config) as hub:
        answer = hub.add_share_rule(RuleAsked(targets, source_agent, category, tag))
    print_answer(answer, json_, lambda console: print_fields(console, answer))


@shares.command
def revoke_rule(rule: int, /, *, json_: AsJson = False, config: Config = None) -> None:
    """Take a rule back: at the next read it is gone."""
    from recall_daemon.tables import print_fields

    with open_agents(config) as hub:
        answer = hub.revoke_share_rule(rule)
    print_answer(answer, json_, lambda console: print_fields(console, answer))
