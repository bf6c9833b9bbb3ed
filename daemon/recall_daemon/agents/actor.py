"""For whom a request to the agents' side is made: a caller, an agent, a user, a session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from recall_daemon.access.caller import Caller
from recall_daemon.errors import AgentInvalid, Forbidden

NAME_MAX_CHARS: Final = 200
# What says over HTTP for whom a request is made.
AGENT_HEADER: Final = "x-recall-agent"
USER_HEADER: Final = "x-recall-user"
SESSION_HEADER: Final = "x-recall-session"


@dataclass(frozen=True)
class Actor:
    """`agent_id` None: the caller itself, without the agents' rules, as far as its reach goes.

    A token that is bound to an agent or a user speaks for those alone.
    """

    caller: Caller
    agent_id: str | None = None
    user_id: str | None = None
    session_id: str | None = None

    @property
    def name(self) -> str:
        """What the audit log calls it."""
        return self.caller.name if self.agent_id is None else f"{self.caller.name}/{self.agent_id}"

    @property
    def holder(self) -> str:
        """Who holds its locks: one agent of one user in one session is one holder."""
        parts = (self.caller.name, self.agent_id, self.user_id, self.session_id)
        return "/".join(_escaped(part or "") for part in parts)


def holder_name(holder: str) -> str:
    """What others may know of a holder, as the audit log says it: neither user nor session."""
    caller, agent, *_ = (_plain(part) for part in holder.split("/"))
    return f"{caller}/{agent}" if agent else caller


def actor_for(
    caller: Caller,
    agent_id: str | None = None,
    user_id: str | None = None,
    session_id: str | None = None,
) -> Actor:
    """Whoever the caller says they speak for; None: what its token is bound to, if anything.

    Raises `AgentInvalid` for a name that can be none, `Forbidden` for one that the token is not
    bound to.
    """
    for what, name in (("agent", agent_id), ("user", user_id), ("session", session_id)):
        _check_name(what, name)
    return Actor(
        caller,
        _bound("agent", caller.agent_id, agent_id),
        _bound("user", caller.user_id, user_id),
        session_id,
    )


def is_name(name: str) -> bool:
    """Whether it can be the name of an agent, a user or a session."""
    return 0 < len(name) <= NAME_MAX_CHARS and name.isprintable() and name == name.strip()


def _bound(what: str, own: str | None, asked: str | None) -> str | None:
    if own is not None and asked not in (None, own):
        raise Forbidden(
            f"this token speaks for another {what}", hint=f"leave the {what} out, or name its own"
        )
    return asked if own is None else own


def _check_name(what: str, name: str | None) -> None:
    """An empty one is refused: taken for none, it would be a way around the agent's rules."""
    if name is not None and not is_name(name):
        raise AgentInvalid(
            f"a name of {'an' if what == 'agent' else 'a'} {what} has 1 to {NAME_MAX_CHARS} "
            "printable characters and no white space at its ends"
        )


def _escaped(part: str) -> str:
    return part.replace("%", "%25").replace("/", "%2F")


def _plain(part: str) -> str:
    return part.replace("%2F", "/").replace("%25", "%")
