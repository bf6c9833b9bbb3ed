"""For which agent and user a request is made, as its headers say."""

from __future__ import annotations

from typing import Any, Final

from recall_daemon.access.caller import Caller, SightOf
from recall_daemon.agents.actor import actor_for
from recall_daemon.errors import AgentInvalid

AGENT: Final = b"x-recall-agent"
USER: Final = b"x-recall-user"


def spoken_for(scope: Any, caller: Caller, sight_of: SightOf) -> Caller:
    """The caller as it speaks in this request, of an ASGI scope.

    Raises `AgentInvalid`, and `Forbidden` where the token is another's.
    """
    agent_id, user_id = _only(scope, AGENT), _only(scope, USER)
    if agent_id is None and user_id is None:
        return caller
    actor = actor_for(caller, agent_id, user_id)
    return caller.speaking_for(actor.agent_id, actor.user_id, sight_of)


def _only(scope: Any, name: bytes) -> str | None:
    values = [value for key, value in scope["headers"] if key.lower() == name]
    if len(values) > 1:
        raise AgentInvalid(f"the header {name.decode()} is there {len(values)} times")
    try:
        return values[0].decode() if values else None
    except UnicodeError as error:
        raise AgentInvalid(f"the header {name.decode()} is not UTF-8") from error
