"""Locks on memories: leases that are waited for in line, with fences that mutations carry."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import anyio.to_thread

from recall_daemon.access.caller import Caller
from recall_daemon.agents.actor import Actor
from recall_daemon.agents.lock_list import listed, lock_json
from recall_daemon.agents.lock_waits import Place, Waits
from recall_daemon.agents.naming import Naming, identity
from recall_daemon.errors import AgentInvalid, LockNotHeld, LockWaitCut, StaleFence
from recall_daemon.store import answers, audit_log, events, leasing, locks
from recall_daemon.store.answers import Key
from recall_daemon.store.audit_log import Act
from recall_daemon.store.leasing import Claim, Proof
from recall_daemon.store.locks import Identity, Lock, Standing, locked
from recall_daemon.store.moment import one_moment
from recall_daemon.store.store import Connection, Store
from recall_wire.errors import RecallError

Json = dict[str, Any]

LEASE_S: Final = 300.0
LEASE_MAX_S: Final = 3600.0
WAIT_S: Final = 30.0
WAIT_MAX_S: Final = 300.0
REASON_MAX_CHARS: Final = 1_000
FORCED: Final = "lock.force_released"


@dataclass(frozen=True)
class _Done:
    """What a work did. `stands`: how it left the memory; `answer` None: it waits in line."""

    name: Identity | None
    stands: Standing | None
    answer: Json | None
    taken: Lock | None = None


@dataclass(frozen=True)
class Named:
    """A lock as its holder says which: the memory's name, and the fence."""

    memory: str
    fence: int


class Locks:
    """Safe from many threads; all but `acquire` block.

    Leases and the places of those who wait are in the store: a restart changes neither. A lease
    that runs out is free without anybody's doing.
    """

    def __init__(self, store: Store, naming: Naming, *, now: Callable[[], datetime]) -> None:
        self._store = store
        self._naming = naming
        self._now = now
        self._waits = Waits()
        self._stopping = False

    async def acquire(
        self,
        actor: Actor,
        memory: str,
        *,
        lease_s: float = LEASE_S,
        wait_s: float = WAIT_S,
        key: Key | None = None,
    ) -> Json:
        """`{lock: {system_id, memory_id, fence, depth, expires_at}}`, after at most `wait_s`.

        First come, first served. Whoever holds it already has it once more, under the same fence.
        Cancelled while it waits, it leaves the line, and what it was given meanwhile goes back.
        Raises `MemoryLocked` once `wait_s` is over, `LockWaitCut` where the hub stops (the place in
        line stays until `wait_s` is over), `MemoryNotFound`, `Forbidden`, `AgentInvalid`.
        """
        lease = _span("lease_s", lease_s, LEASE_MAX_S)
        wait = _span("wait_s", wait_s, WAIT_MAX_S, none=True)
        name = await anyio.to_thread.run_sync(self._writable, actor, memory)
        claim = Claim(name, actor.holder, lease, self._now() + wait)
        ends = asyncio.get_running_loop().time() + wait.total_seconds()
        with self._waits.place(name, actor.holder) as place:
            try:
                return await self._until_had(place, claim, key, ends)
            except LockWaitCut:
                raise
            except BaseException:
                if wait:  # else it never stood in line
                    self._leave(place)
                raise

    async def _until_had(self, place: Place, claim: Claim, key: Key | None, ends: float) -> Json:
        while True:
            if self._stopping:
                raise LockWaitCut("the hub stops", hint="ask again: your place in line is kept")
            place.look()
            done = await self._attempt(claim, key)
            if done.answer is not None:
                return done.answer
            if not await place.sleep(self._now, ends):
                held = done.stands.held(self._now()) if done.stands else None
                raise locked(claim.name, held)

    async def _attempt(self, claim: Claim, key: Key | None) -> _Done:
        future = self._submit(partial(self._acquire, claim=claim, key=key))
        try:
            return await asyncio.shield(asyncio.wrap_future(future))
        except asyncio.CancelledError:
            future.add_done_callback(partial(self._give_back, key))
            raise

    def _acquire(self, connection: Connection, claim: Claim, key: Key | None) -> _Done:
        now = self._now()
        known = None if key is None else answers.find(connection, key, now)
        if key is not None and known is not None:
            return _Done(None, None, answers.once(connection, key, now, dict))
        stands = leasing.acquire(connection, claim, now)
        lock = stands.held(now)
        if lock is None or lock.holder != claim.holder:
            return _Done(claim.name, stands, None)
        answer = answers.once(connection, key, now, lambda: {"lock": lock_json(lock)})
        return _Done(claim.name, stands, answer, lock)

    def _give_back(self, key: Key | None, future: Future[_Done]) -> None:
        """What whoever is gone was given a moment before."""
        lock = None if future.cancelled() or future.exception() else future.result().taken
        if lock is None or lock.holder is None:
            return
        proof = Proof(lock.identity, lock.holder, lock.fence)

        def work(connection: Connection) -> _Done:
            now = self._now()
            if key is not None:
                answers.drop(connection, key)
            try:
                stands = leasing.release(connection, proof, now)
            except (LockNotHeld, StaleFence):  # it was taken away, or has run out
                stands = locks.standing(connection, proof.name, now)
            return _Done(proof.name, stands, None)

        with contextlib.suppress(RecallError):  # the store is closing: the lease runs out
            self._submit(work)

    def _leave(self, place: Place) -> None:
        if not self._waits.is_last(place):
            return

        def work(connection: Connection) -> _Done:
            stands = leasing.leave(connection, place.name, place.holder, self._now())
            return _Done(place.name, stands, None)

        with contextlib.suppress(RecallError):  # the store is closing: the place runs out
            self._submit(work)

    def renew(
        self,
        actor: Actor,
        memory: str,
        fence: int,
        *,
        lease_s: float = LEASE_S,
        key: Key | None = None,
    ) -> Json:
        """`{lock}`: the lease lasts `lease_s` from now on, never shorter than it did.

        Raises `StaleFence`, `LockNotHeld`, `MemoryNotFound`, `Forbidden`, `AgentInvalid`.
        """
        lease = _span("lease_s", lease_s, LEASE_MAX_S)
        renewed = partial(leasing.renew, lease=lease)
        return self._own(actor, Named(memory, fence), key, renewed)

    def release(self, actor: Actor, memory: str, fence: int, *, key: Key | None = None) -> Json:
        """`{lock}`, of depth 0 when it is free; whoever acquired it twice releases it twice.

        Raises as `renew`.
        """
        return self._own(actor, Named(memory, fence), key, leasing.release)

    def _own(
        self,
        actor: Actor,
        named: Named,
        key: Key | None,
        act: Callable[[Connection, Proof, datetime], Standing],
    ) -> Json:
        def work(connection: Connection) -> _Done:
            now = self._now()

            def once() -> _Done:
                proof = self._proof(connection, actor, named)
                stands = act(connection, proof, now)
                assert stands.lock is not None
                return _Done(proof.name, stands, {"lock": lock_json(stands.lock)})

            return _once(connection, key, now, once)

        return self._submit(work).result().answer or {}

    def _proof(self, connection: Connection, actor: Actor, named: Named) -> Proof:
        """A holder's fence says by itself which lock it is: the memory may be deleted by now."""
        lock = locks.of_fence(connection, named.fence)
        if lock is None or lock.holder != actor.holder or not _is_named(lock, named.memory):
            name = identity(self._naming.find_writable(connection, actor, named.memory))
        else:
            name = lock.identity
        return Proof(name, actor.holder, named.fence)

    def force_release(
        self, caller: Caller, memory: str, reason: str, *, key: Key | None = None
    ) -> Json:
        """`{released: {memory_id, system_id, holder, fence, reason}}`: whoever waits is next.

        The fence is good for nothing from now on. It is in the audit log, and told as an event.
        Raises `Forbidden`, `LockNotHeld`, `AgentInvalid`.
        """
        caller.check_admin()
        if not 0 < len(reason.strip()) <= REASON_MAX_CHARS:
            raise AgentInvalid(f"a reason has 1 to {REASON_MAX_CHARS} characters")

        def work(connection: Connection) -> _Done:
            now = self._now()

            def once() -> _Done:
                held = locks.living(connection, now)
                lock = _only([one for one in held if _is_named(one, memory)])
                stands = leasing.force_release(connection, lock, now)
                released = _note(connection, caller, lock, reason, now)
                return _Done(lock.identity, stands, {"released": released})

            return _once(connection, key, now, once)

        return self._submit(work).result().answer or {}

    def listed(self, actor: Actor) -> Json:
        """`{locks, waiting}`; see `lock_list.listed`. Read-only."""
        with one_moment(self._store) as connection:
            return listed(connection, self._naming.sight, actor, self._now())

    def stop(self) -> None:
        """Have those who wait ask again, after the restart; each keeps its place. Idempotent."""
        self._stopping = True
        self._waits.tell_all(self._now())

    def _writable(self, actor: Actor, memory: str) -> Identity:
        with one_moment(self._store) as connection:
            return identity(self._naming.find_writable(connection, actor, memory))

    def _submit(self, work: Callable[[Connection], _Done]) -> Future[_Done]:
        future = self._store.submit(work)
        future.add_done_callback(self._tell)
        return future

    def _tell(self, future: Future[_Done]) -> None:
        """On the writer's thread, after the commit."""
        done = None if future.cancelled() or future.exception() else future.result()
        if done is not None and done.name is not None and done.stands is not None:
            self._waits.tell(done.name, done.stands, self._now())


def _span(what: str, seconds: float, most: float, *, none: bool = False) -> timedelta:
    if not math.isfinite(seconds) or not (0 if none else 1e-3) <= seconds <= most:
        least = "0" if none else "more than 0"
        raise AgentInvalid(f"{what} is {seconds}; {least} to {most:.0f} seconds are allowed")
    return timedelta(seconds=seconds)


def _once(
    connection: Connection, key: Key | None, now: datetime, act: Callable[[], _Done]
) -> _Done:
    """What an act did; a retry with its key gets the same answer, and nothing is done."""
    acts: list[_Done] = []

    def told() -> Json:
        acts.append(act())
        return acts[0].answer or {}

    answer = answers.once(connection, key, now, told)
    return acts[0] if acts else _Done(None, None, answer)


def _is_named(lock: Lock, memory: str) -> bool:
    return memory in (lock.memory_id, f"{lock.system_id}/{lock.memory_id}")


def _only(held: Sequence[Lock]) -> Lock:
    if not held:
        raise LockNotHeld("nobody holds a lock of that memory", hint="see `recalld locks`")
    if len(held) > 1:
        names = ", ".join(sorted(f"{lock.system_id}/{lock.memory_id}" for lock in held)[:5])
        raise AgentInvalid("several memories of that name are locked", hint=f"say which: {names}")
    return held[0]


def _note(connection: Connection, caller: Caller, lock: Lock, reason: str, now: datetime) -> Json:
    said = {"memory_id": lock.memory_id, "fence": lock.fence, "reason": reason}
    events.append(connection, FORCED, lock.system_id, said, now)
    told = {**said, "holder": lock.holder}
    audit_log.append(connection, Act(caller.name, FORCED, lock.system_id, told), now)
    return {**told, "system_id": lock.system_id}
