"""The agents' tools for locks on memories."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from recall_daemon.agents.actor import Actor
from recall_daemon.agents.locks import (
    LEASE_MAX_S,
    LEASE_S,
    REASON_MAX_CHARS,
    WAIT_MAX_S,
    WAIT_S,
)
from recall_daemon.agents.shared import Shared
from recall_daemon.operations import Json
from recall_daemon.serve.mcp.agents import shapes, words
from recall_daemon.serve.mcp.agents.asked import (
    UPSERTS,
    Asked,
    Changing,
    MemoryName,
    Number,
    changing,
    reading,
    waiting,
)
from recall_daemon.serve.mcp.tool import Hints, Tool
from recall_daemon.store.answers import Key

_Lease = Annotated[float, Field(gt=0, le=LEASE_MAX_S, description="Seconds; then it is free.")]


class Acquire(Changing):
    memory_id: MemoryName
    lease_s: _Lease = LEASE_S
    wait_s: Annotated[
        float, Field(ge=0, le=WAIT_MAX_S, description="Seconds to wait in line at most.")
    ] = WAIT_S


class Release(Changing):
    memory_id: MemoryName
    fence: Number


class Renew(Release):
    lease_s: _Lease = LEASE_S


class ForceRelease(Changing):
    memory_id: MemoryName
    reason: Annotated[
        str, Field(min_length=1, max_length=REASON_MAX_CHARS, description="For the audit log.")
    ]


class LockTools:
    """Blocking, but for `acquire`: each other tool runs in a worker thread."""

    def __init__(self, shared: Shared) -> None:
        self._locks = shared.locks

    def tools(self) -> list[Tool]:
        return [
            waiting("acquire_lock", Acquire, shapes.LockHad, self.acquire, words.lock),
            changing("renew_lock", Renew, shapes.LockHad, self.renew, words.lock, hints=UPSERTS),
            changing("release_lock", Release, shapes.LockHad, self.release, words.lock),
            reading("list_locks", Asked, shapes.Locks, self.listed, words.locks),
            changing(
                "force_release_lock",
                ForceRelease,
                shapes.Forced,
                self.force,
                words.forced,
                hints=Hints(destructive=True),
            ),
        ]

    async def acquire(self, actor: Actor, asked: Acquire, key: Key | None) -> Json:
        """Keep others from changing a memory; first come, first served.

        Every change of it must carry the lock's fence until you release it or it runs out.
        """
        return await self._locks.acquire(
            actor, asked.memory_id, lease_s=asked.lease_s, wait_s=asked.wait_s, key=key
        )

    def renew(self, actor: Actor, asked: Renew, key: Key | None) -> Json:
        """Have your lock last lease_s from now on."""
        return self._locks.renew(
            actor, asked.memory_id, asked.fence, lease_s=asked.lease_s, key=key
        )

    def release(self, actor: Actor, asked: Release, key: Key | None) -> Json:
        """Release your lock, as often as you acquired it."""
        return self._locks.release(actor, asked.memory_id, asked.fence, key=key)

    def listed(self, actor: Actor, asked: Asked) -> Json:
        """Who holds locks on memories that you may see, and who waits."""
        return self._locks.listed(actor)

    def force(self, actor: Actor, asked: ForceRelease, key: Key | None) -> Json:
        """Take a lock away from its holder. For admins; the audit log says why."""
        return self._locks.force_release(actor.caller, asked.memory_id, asked.reason, key=key)
