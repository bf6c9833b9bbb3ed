"""Shares: one memory for some agents.

A share is live, never a copy: what may be seen is looked up at each read, so that it takes effect,
and goes, at the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, get_args

from recall_daemon.agents.actor import Actor, is_name
from recall_daemon.agents.naming import Naming, identity
from recall_daemon.errors import AgentInvalid, MemoryNotFound
from recall_daemon.store import answers, audit_log, shares, showing
from recall_daemon.store.answers import Key
from recall_daemon.store.audit_log import Act
from recall_daemon.store.moment import one_moment
from recall_daemon.store.shares import AGENT, EVERYONE, Identity, Permission, Share
from recall_daemon.store.showing import Memory
from recall_daemon.store.store import Connection, Store

Json = dict[str, Any]

TARGETS_MAX: Final = 100
LIFE_MAX: Final = timedelta(days=3650)
LIMIT: Final = 100
LIMIT_MAX: Final = 1_000


class Sharing:
    """Blocking; safe from many threads. What it changes is durable when it returns."""

    def __init__(self, store: Store, naming: Naming, *, now: Callable[[], datetime]) -> None:
        self._store = store
        self._naming = naming
        self._now = now

    def share_with_agents(
        self,
        actor: Actor,
        name: str,
        agents: Sequence[str],
        *,
        permission: Permission = "read",
        expires_in_s: float | None = None,
        key: Key | None = None,
    ) -> Json:
        """`{share_ids, memory_id, system_id}`, in the order of the agents.

        An agent that has a live share of the memory keeps it under its number, with what is said
        now. Raises `AgentInvalid`, `MemoryNotFound`, and `Forbidden` for who may not write it.
        """
        grantees = agent_names(agents)
        _check_permission(permission)
        life = _life(expires_in_s)

        def work(connection: Connection) -> Json:
            now = self._now()

            terms = _Terms(grantees, permission, None if life is None else now + life)
            act = partial(self._share, connection, actor, name, terms, now)
            return answers.once(connection, key, now, act)

        return self._store.write(work)

    def _share(
        self,
        connection: Connection,
        actor: Actor,
        name: str,
        terms: _Terms,
        now: datetime,
    ) -> Json:
        memory = self._naming.find_writable(connection, actor, name)
        return _share(connection, actor, memory, terms, now)

    def revoke(self, actor: Actor, share_id: int, *, key: Key | None = None) -> Json:
        """`{share_id, revoked}`: at the next read it is gone. Idempotent.

        By who may write the memory. Raises `MemoryNotFound` for a share that is not there, or is of
        a memory that may not be seen, and `Forbidden`.
        """

        def work(connection: Connection) -> Json:
            now = self._now()
            act = partial(self._revoke, connection, actor, share_id, now)
            return answers.once(connection, key, now, act)

        return self._store.write(work)

    def _revoke(self, connection: Connection, actor: Actor, share_id: int, now: datetime) -> Json:
        share = shares.find(connection, share_id)
        memory = None if share is None else _memory(connection, share.identity)
        if share is None or memory is None:
            raise _no_share()
        if not self._naming.sight.seen(connection, actor, [memory]):
            raise _no_share()
        self._naming.check_writable(connection, actor, [memory])
        if share.revoked_at is None:
            shares.revoke(connection, [share], now)
            said = {"share_id": share_id, "id": share.memory_id, "agent": share.grantee}
            act = Act(actor.name, "share.revoked", share.system_id, said)
            audit_log.append(connection, act, now)
        return {"share_id": share_id, "revoked": True}

    def list(
        self,
        actor: Actor,
        name: str | None = None,
        *,
        limit: int = LIMIT,
        before: int | None = None,
    ) -> Json:
        """`{shares, next_before}`, live ones, newest first: of one memory, or all that bear on the
        actor.

        Of a memory that the actor may write each share, of another the one that it has itself.
        Without a memory: those that its agent has; without an agent, all within its reach. Raises
        `AgentInvalid`, `MemoryNotFound`.
        """
        if not 1 <= limit <= LIMIT_MAX:
            raise AgentInvalid(f"limit is {limit}; 1 to {LIMIT_MAX} are allowed")
        now = self._now()
        with one_moment(self._store) as connection:
            if name is not None:
                return _page(self._of_memory(connection, actor, name, now), LIMIT_MAX)
            found = shares.newest(
                connection,
                now,
                grantee=actor.agent_id,
                systems=actor.caller.reach.systems,
                before=before,
                limit=limit + 1,
            )
            kept = self._visible(connection, actor, found[:limit])
            return {**_page(kept, limit), "next_before": _next(found, limit)}

    def _of_memory(
        self, connection: Connection, actor: Actor, name: str, now: datetime
    ) -> Sequence[Share]:
        memory = self._naming.find(connection, actor, name)
        found = shares.of_memory(connection, identity(memory), now)
        may_write = actor.caller.may_write(memory.system_id) and self._naming.sight.writable(
            connection, actor, [memory]
        )
        if may_write:
            return list(reversed(found))
        return [share for share in reversed(found) if share.grantee == actor.agent_id]

    def _visible(
        self, connection: Connection, actor: Actor, found: Sequence[Share]
    ) -> Sequence[Share]:
        """Those of memories that the actor sees: what is denied is not named either."""
        memories = showing.by_names(connection, [share.identity for share in found])
        seen = {identity(one) for one in self._naming.sight.seen(connection, actor, memories)}
        return [share for share in found if share.identity in seen]


@dataclass(frozen=True)
class _Terms:
    grantees: tuple[str, ...]
    permission: Permission
    expires_at: datetime | None


def _share(
    connection: Connection,
    actor: Actor,
    memory: Memory,
    terms: _Terms,
    now: datetime,
) -> Json:
    have = {share.grantee: share for share in shares.of_memory(connection, identity(memory), now)}
    new = [agent for agent in terms.grantees if agent not in have]
    first = shares.take_ids(connection, len(new)) if new else 0
    ids = {agent: first + number for number, agent in enumerate(new)}
    ids |= {agent: share.share_id for agent, share in have.items()}
    made = [
        Share(
            ids[agent],
            *identity(memory),
            AGENT,
            agent,
            terms.permission,
            actor.agent_id or actor.caller.name,
            now,
            terms.expires_at,
        )
        for agent in terms.grantees
    ]
    shares.put(connection, made, now)
    said = {
        "id": memory.memory_id,
        "agents": list(terms.grantees),
        "permission": terms.permission,
        "expires_at": iso(terms.expires_at),
    }
    audit_log.append(connection, Act(actor.name, "memory.shared", memory.system_id, said), now)
    share_ids = [share.share_id for share in made]
    return {"share_ids": share_ids, "memory_id": memory.memory_id, "system_id": memory.system_id}


def _memory(connection: Connection, name: Identity) -> Memory | None:
    found = showing.by_names(connection, [name])
    return found[0] if found else None


def _no_share() -> MemoryNotFound:
    return MemoryNotFound(
        "there is no such share, or none that you may see", hint="`GET /v1/shares` lists them"
    )


def agent_names(names: Sequence[str]) -> tuple[str, ...]:
    """Each once, in their order. Raises `AgentInvalid`."""
    if not 0 < len(names) <= TARGETS_MAX:
        raise AgentInvalid(f"1 to {TARGETS_MAX} agents are named at once, not {len(names)}")
    for name in names:
        if not is_name(name) or name == EVERYONE:
            raise AgentInvalid(
                f"{name[:40]!r} is no name of an agent", hint="a rule shares with every agent"
            )
    return tuple(dict.fromkeys(names))


def _check_permission(permission: str) -> None:
    if permission not in get_args(Permission):
        raise AgentInvalid(
            f"permission {permission[:40]!r} is none of {', '.join(get_args(Permission))}"
        )


def _life(seconds: float | None) -> timedelta | None:
    if seconds is None:
        return None
    if not 0 < seconds <= LIFE_MAX.total_seconds():  # refuses NaN, too
        raise AgentInvalid(f"a share lives up to {LIFE_MAX.days} days, or until it is revoked")
    return timedelta(seconds=seconds)


def _page(found: Sequence[Share], limit: int) -> Json:
    return {"shares": [_share_json(share) for share in found[:limit]], "next_before": None}


def _next(found: Sequence[Share], limit: int) -> int | None:
    return found[limit - 1].share_id if len(found) > limit else None


def _share_json(share: Share) -> Json:
    return {
        "share_id": share.share_id,
        "system_id": share.system_id,
        "memory_id": share.memory_id,
        "agent": share.grantee,
        "permission": share.permission,
        "granted_by": share.granted_by,
        "granted_at": iso(share.granted_at),
        "expires_at": iso(share.expires_at),
    }


def iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
