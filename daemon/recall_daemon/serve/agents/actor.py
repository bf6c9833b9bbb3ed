"""For whom a request is made, as a route takes it: `ActorOf`."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header
from starlette.requests import Request

from recall_daemon.agents.actor import (
    AGENT_HEADER,
    SESSION_HEADER,
    USER_HEADER,
    Actor,
    actor_for,
)
from recall_daemon.errors import AgentInvalid
from recall_daemon.serve.who import Who

_Named = Annotated[str | None, Header(max_length=800)]


async def actor_of(
    request: Request,
    caller: Who,
    x_recall_agent: _Named = None,
    x_recall_user: _Named = None,
    x_recall_session: _Named = None,
) -> Actor:
    """The token's own agent and user where it is bound, else those of the headers.

    The parameters are there for the OpenAPI document: a header that comes twice shows in the
    request alone. Raises `AgentInvalid`, `Forbidden`.
    """
    names = (_only(request, name) for name in (AGENT_HEADER, USER_HEADER, SESSION_HEADER))
    return actor_for(caller, *names)


def _only(request: Request, name: str) -> str | None:
    values = request.headers.getlist(name)
    if len(values) > 1:
        raise AgentInvalid(f"the header {name} is there {len(values)} times")
    return _utf8(name, values[0]) if values else None


def _utf8(name: str, value: str) -> str:
    """Headers are read as Latin-1; whoever sends other letters sends UTF-8."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeError as error:
        raise AgentInvalid(f"the header {name} is not UTF-8") from error


ActorOf = Annotated[Actor, Depends(actor_of)]
