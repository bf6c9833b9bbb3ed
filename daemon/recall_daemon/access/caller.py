"""Whoever asks, and what of the hub they may see and change."""

from __future__ import annotations

from dataclasses import dataclass

from recall_daemon.errors import Forbidden
from recall_daemon.search.reach import EVERYTHING, Reach
from recall_daemon.store.tokens import Role


@dataclass(frozen=True)
class Caller:
    """Somebody with a role.

    `system_id` is the one system that an instance may write, `reach` what may be read. `name` is
    what the audit log calls them. `agent_id`, `user_id`: the token speaks for those alone.
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


# On a loopback port without tokens whoever reaches it may do everything.
LOOPBACK = Caller("loopback", "admin")
# The command line of whoever can read the data folder.
LOCAL = Caller("local", "admin")
