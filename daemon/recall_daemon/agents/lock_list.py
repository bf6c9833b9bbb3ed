"""Locks and those who wait for them, as they are shown."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

from recall_daemon.agents.actor import Actor, holder_name
from recall_daemon.agents.naming import Sight, identity
from recall_daemon.store import locks, memories, showing
from recall_daemon.store.locks import Identity, Lock, Waiter
from recall_daemon.store.store import Connection

Json = dict[str, Any]

_AT_ONCE: Final = 250


def listed(connection: Connection, sight: Sight, actor: Actor, now: datetime) -> Json:
    """`{locks, waiting}`: the leases that live and who waits, of the memories that it sees.

    `holder` names neither user nor session. The fence is shown to its holder, and to an admin:
    whoever has it can write. Read-only.
    """
    held, line = locks.living(connection, now), locks.waiting(connection, now)
    names = {lock.identity for lock in held} | {waiter.identity for waiter in line}
    seen = _seen(connection, sight, actor, names)
    return {
        "locks": [_held_json(lock, actor) for lock in held if lock.identity in seen],
        "waiting": [_waiter_json(waiter, place, actor) for waiter, place in _placed(line, seen)],
    }


def lock_json(lock: Lock) -> Json:
    """As its holder gets it; of depth 0 it is free."""
    return {
        "system_id": lock.system_id,
        "memory_id": lock.memory_id,
        "fence": lock.fence,
        "depth": lock.depth,
        "expires_at": lock.expires_at.isoformat() if lock.expires_at else None,
    }


def _seen(
    connection: Connection, sight: Sight, actor: Actor, names: Collection[Identity]
) -> Collection[Identity]:
    if actor.caller.is_admin and actor.agent_id is None:
        return names  # also of what is deleted
    full = [f"{system_id}/{memory_id}" for system_id, memory_id in sorted(names)]
    seen: set[Identity] = set()
    for start in range(0, len(full), _AT_ONCE):
        row_ids = memories.find_ids(connection, full[start : start + _AT_ONCE])
        rows = showing.by_row_ids(connection, row_ids, text_chars=1)
        seen |= {identity(row) for row in sight.seen(connection, actor, rows)}
    return seen


def _held_json(lock: Lock, actor: Actor) -> Json:
    is_mine = lock.holder == actor.holder
    return {
        **lock_json(lock),
        "fence": lock.fence if is_mine or actor.caller.is_admin else None,
        "acquired_at": lock.acquired_at.isoformat() if lock.acquired_at else None,
        "holder": holder_name(lock.holder or ""),
        "mine": is_mine,
    }


def _placed(line: Sequence[Waiter], seen: Collection[Identity]) -> list[tuple[Waiter, int]]:
    """Those who wait for what is seen, each with the place in its memory's line, from 1."""
    places: dict[Identity, int] = {}
    placed = []
    for waiter in line:
        places[waiter.identity] = places.get(waiter.identity, 0) + 1
        if waiter.identity in seen:
            placed.append((waiter, places[waiter.identity]))
    return placed


def _waiter_json(waiter: Waiter, place: int, actor: Actor) -> Json:
    return {
        "system_id": waiter.system_id,
        "memory_id": waiter.memory_id,
        "place": place,
        "holder": holder_name(waiter.holder),
        "mine": waiter.holder == actor.holder,
        "waits_until": waiter.waits_until.isoformat(),
    }
