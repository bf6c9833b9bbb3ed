"""For whom a request to the agents' side is made: a caller, an agent, a user, a session."""

from __future__ import annotations

from dataclasses import dataclass

from recall_daemon.access.caller import Caller


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
        return "/".join(part or "-" for part in parts)
