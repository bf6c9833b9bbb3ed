"""Whoever asks, and what of the hub they may see and change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from recall_daemon.errors import Forbidden
from recall_daemon.index.seen import Seen
from recall_daemon.search.reach import EVERYTHING, Reach, Sight, Told
from recall_daemon.store.tokens import Role


@dataclass(frozen=True)
class Caller:
    """Somebody with a role.

    `system_id` is the one system that an instance may write, `reach` what may be read. `name` is
    what the audit log calls them. `agent_id`, `user_id`: they speak for those alone, within a
    `reach` that holds what those may see.
    """

    name: str
    role: Role
    system_id: str | None = None
    reach: Reach = EVERYTHING
    agent_id: str | None = None
    user_id: str | None = None

    @property
    def is_admin(self) -> bool:
        return self.role == "admin"

    def may_write(self, system_id: str) -> bool:
        return self.is_admin or (self.role == "instance" and system_id == self.system_id)

    def speaking_for(self, agent_id: str | None, user_id: str | None, sight_of: SightOf) -> Caller:
        """The same, for an agent, a user, or both; None for neither."""
        if agent_id is None and user_id is None:
            return self
        reach = replace(self.reach, sight=sight_of(self.name, agent_id, user_id))
        return replace(self, agent_id=agent_id, user_id=user_id, reach=reach)

    def check_whole(self) -> None:
        """Raises `Forbidden` for who speaks for an agent or a user: what they would do is to more
        than those may change."""
        if self.agent_id is not None or self.user_id is not None:
            raise Forbidden(
                "whoever speaks for one agent or user may not do that",
                hint="agents write by /v1/memories and /v1/agent/…",
            )

    def check_admin(self) -> None:
        """Raises `Forbidden`."""
        if not self.is_admin:
            raise Forbidden(
                f"a token of role {self.role} may not do that", hint="it takes an admin's token"
            )

    def check_write(self, system_id: str) -> None:
        """Raises `Forbidden`, with the same words whether or not the system is known."""
        if not self.may_write(system_id):
            own = f" other than {self.system_id}" if self.role == "instance" else ""
            raise Forbidden(
                f"a token of role {self.role} may not write to a system{own}",
                hint="an instance writes its own system only",
            )


@dataclass(frozen=True)
class OwnAlone:
    """The sight of an agent, a user, or both, where nothing is known of what others grant."""

    agent_id: str | None
    user_id: str | None

    def now(self) -> Seen:
        return Seen(self.agent_id, self.user_id)

    def note(self, told: Sequence[Told]) -> None:
        """Of what is its own nothing is noted."""


# Who by the name in the audit log, the agent, the user.
SightOf = Callable[[str, str | None, str | None], Sight | None]


def own_alone(name: str, agent_id: str | None, user_id: str | None) -> Sight:
    return OwnAlone(agent_id, user_id)


# On a loopback port without tokens whoever reaches it may do everything.
LOOPBACK = Caller("loopback", "admin")
# The command line of whoever can read the data folder.
LOCAL = Caller("local", "admin")
