"""Which memory a name means to an actor: `MEMORY_ID`, or `SYSTEM/MEMORY_ID`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from recall_daemon.agents.actor import Actor
from recall_daemon.errors import AgentInvalid, Forbidden, MemoryNotFound
from recall_daemon.store import memories, showing
from recall_daemon.store.showing import Memory
from recall_daemon.store.store import Connection
from recall_wire.formats.values import whole
from recall_wire.records import MEMORY_ID_MAX_CHARS

# With a system before it.
_NAME_MAX_CHARS: Final = MEMORY_ID_MAX_CHARS + 101
_AT_ONCE: Final = 250

Identity = tuple[str, str]


class Sight(Protocol):
    """What an actor sees, and may change, of memories that were read in the same connection."""

    def seen(
        self, connection: Connection, actor: Actor, memories: Sequence[Memory]
    ) -> list[Memory]: ...

    def writable(
        self, connection: Connection, actor: Actor, memories: Sequence[Memory]
    ) -> list[Memory]: ...


class Naming:
    """What an actor may not see is not there. `system`: where whoever is bound to none writes."""

    def __init__(self, sight: Sight, system: str) -> None:
        self.sight = sight
        self._system = system

    def own_system(self, actor: Actor) -> str:
        """Where the actor's new memories go."""
        return actor.caller.system_id or self._system

    def find(self, connection: Connection, actor: Actor, name: str) -> Memory:
        """Raises `MemoryNotFound`, and `AgentInvalid` for a name that means several."""
        found = self.find_all(connection, actor, [name])
        if name not in found:
            raise not_found()
        return found[name]

    def find_all(
        self, connection: Connection, actor: Actor, names: Sequence[str]
    ) -> dict[str, Memory]:
        """By name; those that mean nothing to the actor are left out.

        A full name means that memory alone. Of several systems that have the id the actor's own
        comes first; raises `AgentInvalid` where several others have it.
        """
        for name in names:
            _check(name)
        wanted = list(dict.fromkeys(names))
        found: dict[str, Memory] = {}
        for start in range(0, len(wanted), _AT_ONCE):
            part = wanted[start : start + _AT_ONCE]
            found |= self._find_some(connection, actor, part)
        return found

    def _find_some(
        self, connection: Connection, actor: Actor, names: Sequence[str]
    ) -> dict[str, Memory]:
        reach = actor.caller.reach
        # What is out of reach is not read: how long that takes would tell of it.
        named = memories.find_named(connection, names)
        row_ids = [row_id for row_id, system, project in named if reach.holds(system, project)]
        rows = showing.by_row_ids(connection, row_ids)
        seen = self.sight.seen(connection, actor, rows)
        by_name: dict[str, list[Memory]] = {}
        for memory in seen:
            by_name.setdefault(memory.memory_id, []).append(memory)
        full = {full_name(memory): memory for memory in seen}
        picked = {
            name: full.get(name) or self._pick(actor, by_name.get(name, ())) for name in names
        }
        return {name: memory for name, memory in picked.items() if memory is not None}

    def _pick(self, actor: Actor, candidates: Sequence[Memory]) -> Memory | None:
        own = self.own_system(actor)
        for memory in candidates:
            if memory.system_id == own:
                return memory
        if len(candidates) > 1:
            names = ", ".join(sorted(full_name(memory) for memory in candidates)[:5])
            raise AgentInvalid(
                f"several memories have the id {candidates[0].memory_id[:60]!r}",
                hint=f"say which: {names}",
            )
        return candidates[0] if candidates else None

    def find_writable(self, connection: Connection, actor: Actor, name: str) -> Memory:
        """As `find`, of what the actor may change. Raises `Forbidden` for what it may but see."""
        memory = self.find(connection, actor, name)
        self.check_writable(connection, actor, [memory])
        return memory

    def check_writable(self, connection: Connection, actor: Actor, found: Sequence[Memory]) -> None:
        """Raises `Forbidden` unless the actor may change all of these."""
        for system_id in sorted({memory.system_id for memory in found}):
            actor.caller.check_write(system_id)
        if len(self.sight.writable(connection, actor, found)) < len(found):
            raise Forbidden(
                "that memory belongs to another agent",
                hint="its agent can share it with the permission write",
            )


def not_found() -> MemoryNotFound:
    return MemoryNotFound("there is no such memory, or none that you may see")


def full_name(memory: Memory) -> str:
    return f"{memory.system_id}/{memory.memory_id}"


def identity(memory: Memory) -> Identity:
    return memory.system_id, memory.memory_id


def rows_of(connection: Connection, names: Sequence[Identity]) -> dict[Identity, Memory]:
    """The live ones among these, whoever may see them."""
    wanted = list(dict.fromkeys(names))
    found: dict[Identity, Memory] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        part = set(wanted[start : start + _AT_ONCE])
        row_ids = memories.find_ids(connection, [f"{one[0]}/{one[1]}" for one in sorted(part)])
        rows = showing.by_row_ids(connection, row_ids)
        found |= {identity(row): row for row in rows if identity(row) in part}
    return found


def _check(name: str) -> None:
    if not 0 < len(name) <= _NAME_MAX_CHARS or whole(name) != name:
        raise AgentInvalid(f"{whole(name[:40])!r} is no id of a memory")
