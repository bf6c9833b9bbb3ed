"""Reinforcing: a memory that proved useful is more important from now on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from recall_daemon.agents.actor import Actor
from recall_daemon.agents.decay import (
    REINFORCE_FACTOR,
    anchor_of,
    check_factor,
    reinforced,
    with_anchor,
)
from recall_daemon.agents.naming import Naming, identity
from recall_daemon.agents.showing import Json
from recall_daemon.store import answers, audit_log, lives, locks
from recall_daemon.store.answers import Key
from recall_daemon.store.audit_log import Act
from recall_daemon.store.showing import Memory
from recall_daemon.store.store import Connection, Store


class Reinforcing:
    """Blocking; safe from many threads."""

    def __init__(self, store: Store, naming: Naming, *, now: Callable[[], datetime]) -> None:
        self._store = store
        self._naming = naming
        self._now = now

    def reinforce(
        self,
        actor: Actor,
        name: str,
        factor: float = REINFORCE_FACTOR,
        *,
        fence: int | None = None,
        key: Key | None = None,
    ) -> Json:
        """`{memory_id, system_id, new_importance}`: the effective importance times `factor`, 1 at
        most, from which it falls anew. The content stays, and so does its version.

        Raises `MemoryNotFound`, `Forbidden`, `MemoryLocked`, `StaleFence`, `LockNotHeld`,
        `AgentInvalid`, `KeyReused`.
        """
        check_factor(factor)

        def work(connection: Connection) -> Json:
            now = self._now()

            def act() -> Json:
                memory = self._naming.find_writable(connection, actor, name)
                named = [identity(memory)]
                locks.check(connection, named, holder=actor.holder, fences=fence, now=now)
                return _reinforce(connection, actor, memory, factor, now)

            return answers.once(connection, key, now, act)

        return self._store.write(work)


def _reinforce(
    connection: Connection, actor: Actor, memory: Memory, factor: float, now: datetime
) -> Json:
    system_id, memory_id = identity(memory)
    life = lives.find(connection, system_id, memory_id)
    anchored = (life.anchor_importance, life.anchored_at)
    anchor = anchor_of(life.memory_tier, anchored, memory.importance, memory.merged_at)
    moved = reinforced(anchor, factor, now)
    lives.put(connection, [with_anchor(life, moved)], now)
    importance = round(moved.importance, 6)
    said = {"id": memory_id, "factor": factor, "importance": importance}
    audit_log.append(connection, Act(actor.name, "memory.reinforced", system_id, said), now)
    return {"memory_id": memory_id, "system_id": system_id, "new_importance": importance}
