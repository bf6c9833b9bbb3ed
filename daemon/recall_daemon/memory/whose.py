"""Whose a posted memory is: whoever speaks for one agent or user writes as those, over their own
memories alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from recall_daemon.access.caller import Caller
from recall_daemon.errors import Forbidden
from recall_daemon.store import memories
from recall_daemon.store.store import Connection
from recall_wire.records import Record

Parts = Mapping[str, Sequence[Record]]


@dataclass(frozen=True)
class Whose:
    """The agent, the user, or both that a post is written as."""

    agent_id: str | None
    user_id: str | None

    def owns(self, agent_id: str | None, user_id: str | None) -> bool:
        is_agents = self.agent_id in (None, agent_id)
        return is_agents and self.user_id in (None, user_id)


def whose(caller: Caller) -> Whose | None:
    """None for who speaks for nobody else."""
    if caller.agent_id is None and caller.user_id is None:
        return None
    return Whose(caller.agent_id, caller.user_id)


def as_spoken(caller: Caller, record: Record) -> Record:
    """The record as the caller's agent and user wrote it; `Forbidden` where it names others."""
    for what, own, named in (
        ("agent", caller.agent_id, record.agent_id),
        ("user", caller.user_id, record.user_id),
    ):
        if own is not None and named not in (None, own):
            raise Forbidden(
                f"the memory names another {what} than the one that this caller speaks for",
                hint=f"leave {what}_id out",
            )
    return replace(
        record,
        agent_id=caller.agent_id or record.agent_id,
        user_id=caller.user_id or record.user_id,
    )


class Owners:
    """Whose the memories are that posts of one transaction replace, as they are accepted."""

    def __init__(self, connection: Connection, posts: Iterable[tuple[Whose | None, Parts]]) -> None:
        names = [name for of, parts in posts if of is not None for name in _names(parts)]
        self._owner = memories.owners(connection, names)

    def refuse(self, of: Whose | None, parts: Parts) -> Forbidden | None:
        """Why the post cannot be stored; None where it can, which is then taken for done."""
        taken = [] if of is None else [name for name in _names(parts) if not self._is_of(of, name)]
        if taken:
            return Forbidden(
                f"the id {taken[0][1][:60]!r} is taken by a memory of another",
                hint="take another memory_id",
            )
        for system_id, records in parts.items():
            for record in records:
                self._owner[system_id, record.memory_id] = (record.agent_id, record.user_id)
        return None

    def _is_of(self, of: Whose, name: tuple[str, str]) -> bool:
        return name not in self._owner or of.owns(*self._owner[name])


def _names(parts: Parts) -> list[tuple[str, str]]:
    return [(system_id, one.memory_id) for system_id, some in parts.items() for one in some]
