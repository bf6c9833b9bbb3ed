"""For whom a client asks: the hub's token, an agent, a user, a session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from recall_client.arguments import ArgumentInvalid, text


@dataclass(frozen=True, slots=True)
class Identity:
    """Each None where it is not said."""

    agent_id: str | None = None
    user_id: str | None = None
    session_id: str | None = None

    @property
    def headers(self) -> Mapping[str, bytes]:
        """As UTF-8, which is how the hub reads them."""
        said = {
            "x-recall-agent": self.agent_id,
            "x-recall-user": self.user_id,
            "x-recall-session": self.session_id,
        }
        return {name: value.encode() for name, value in said.items() if value is not None}


def checked(name: str, value: str | None) -> str | None:
    """What can stand in a header. Raises `ArgumentInvalid`."""
    if value is None:
        return None
    if not text(name, value) or value != value.strip() or not value.isprintable():
        raise ArgumentInvalid(f"{name} is empty, or has white space at its ends or control marks")
    return value


def of(agent_id: str | None, user_id: str | None, session_id: str | None) -> Identity:
    """Raises `ValueError`."""
    try:
        return Identity(
            checked("agent_id", agent_id),
            checked("user_id", user_id),
            checked("session_id", session_id),
        )
    except ArgumentInvalid as invalid:
        raise ValueError(str(invalid)) from None
