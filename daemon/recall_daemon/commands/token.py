"""`recalld token`: who may ask the hub, and for what."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from cyclopts import App, Parameter

from recall_daemon.commands.program import AsJson, Config, app, open_hub_api, print_answer
from recall_daemon.errors import TokenInvalid
from recall_daemon.operations import Json

token = App(name="token", help="Who may ask the hub, and for what.")
app.command(token)

_SPAN = re.compile(r"(\d{1,9})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}


@token.command
def create(
    *,
    role: Literal["instance", "reader", "admin"],
    system: str | None = None,
    systems: Annotated[str | None, Parameter(help="What it may read: a,b; by default all.")] = None,
    projects: Annotated[str | None, Parameter(help="Likewise.")] = None,
    name: str = "",
    agent: str | None = None,
    user: str | None = None,
    expires_in: str | None = None,
    json_: AsJson = False,
    config: Config = None,
) -> None:
    """Make a token and show it, this once. From the first one on every request needs one.

    Parameters
    ----------
    role
        An instance writes its own system, and reads it alone unless --systems says more; a reader
        only reads; an admin may do everything.
    system
        The one system that an instance writes.
    name
        What the list calls it.
    agent
        It speaks for this agent alone: it sees what the agent may see, and writes as the agent.
    user
        Likewise for this user: it sees nothing of other users.
    expires_in
        12h, 90d, 4w; by default it does not expire.
    """
    from recall_daemon.tables import print_fields

    asked: Json = {
        "role": role,
        "name": name or None,
        "system": system,
        "systems": _split(systems),
        "projects": _split(projects),
        "agent": agent,
        "user": user,
        "expires_in_s": None if expires_in is None else _seconds(expires_in),
    }
    with open_hub_api(config, searching=False) as hub:
        made = hub.token_create(asked)
    print_answer(made, json_, lambda console: print_fields(console, made))


@token.command(name="list")
def list_(*, json_: AsJson = False, config: Config = None) -> None:
    """Every token there ever was: its role, what it may read, and whether it is good."""
    from recall_daemon.tables import print_tokens

    with open_hub_api(config, searching=False) as hub:
        answer = hub.tokens()
    print_answer(answer, json_, lambda console: print_tokens(console, answer))


@token.command
def revoke(token_id: str, *, json_: AsJson = False, config: Config = None) -> None:
    """Have a token open nothing from now on."""
    from recall_daemon.tables import print_fields

    with open_hub_api(config, searching=False) as hub:
        revoked = hub.token_revoke(token_id)
    print_answer(revoked, json_, lambda console: print_fields(console, revoked))


def _split(values: str | None) -> list[str] | None:
    return None if values is None else [value.strip() for value in values.split(",")]


def _seconds(span: str) -> int:
    match = _SPAN.fullmatch(span.strip())
    if match is None:
        raise TokenInvalid(f"{span[:40]!r} is no span of time", hint="write 12h, 90d or 4w")
    return int(match[1]) * _SECONDS[match[2]]
