"""Leases given and taken, each in one transaction; `locks` says how they stand.

Fences ascend over all memories, also past a restore: each is at least the time in milliseconds.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace
from datetime import datetime, timedelta

from recall_daemon.store import statements
from recall_daemon.store.locks import (
    LOCK_COLUMNS,
    WAITER_COLUMNS,
    Identity,
    Lock,
    Standing,
    Waiter,
    refused,
    standing,
)
from recall_daemon.store.store import Connection, next_numbers


@dataclass(frozen=True)
class Claim:
    """Somebody who wants a memory's lease, to have it so long, and who waits for it until then."""

    name: Identity
    holder: str
    lease: timedelta
    waits_until: datetime


@dataclass(frozen=True)
class Proof:
    """Whose lease it is said to be, and the fence that it came with."""

    name: Identity
    holder: str
    fence: int


def void_all(connection: Connection) -> None:
    """End every lease and every wait: whoever held one cannot know of this store. The fences stay,
    as the last that were ever given."""
    connection.execute("UPDATE locks SET holder = NULL, depth = 0, expires_at = NULL")
    connection.execute("DELETE FROM lock_waiters")


def acquire(connection: Connection, claim: Claim, now: datetime) -> Standing:
    """Take a memory's lease where it is free and nobody waits longer, else stand in its line.

    The holder that has it already has it once more: the same fence, and not for a shorter time. A
    holder has one place in a line, and keeps it until the latest of its `waits_until`; with one
    that is not after `now` it gets none.
    """
    found = standing(connection, claim.name, now)
    held = found.held(now)
    if held is not None and held.holder == claim.holder:
        return _kept(connection, found, replace(held, depth=held.depth + 1), now + claim.lease)
    if held is None and (not found.line or found.line[0].holder == claim.holder):
        return _taken(connection, found, claim, now)
    return _queued(connection, found, claim, now)


def renew(connection: Connection, proof: Proof, now: datetime, lease: timedelta) -> Standing:
    """Have the lease last from now on, never shorter than it did. Raises as `release`."""
    found = standing(connection, proof.name, now)
    return _kept(connection, found, _own(found, proof, now), now + lease)


def release(connection: Connection, proof: Proof, now: datetime) -> Standing:
    """Give the lease back as often as it was taken. Raises `StaleFence`, `LockNotHeld`."""
    found = standing(connection, proof.name, now)
    own = _own(found, proof, now)
    if own.depth == 1:
        return _freed(connection, found, own)
    less = replace(own, depth=own.depth - 1)
    _update(connection, less)
    return replace(found, lock=less)


def force_release(connection: Connection, lock: Lock, now: datetime) -> Standing:
    """End a lease, however often it was taken; its fence is good for nothing from now on."""
    return _freed(connection, standing(connection, lock.identity, now), lock)


def leave(connection: Connection, name: Identity, holder: str, now: datetime) -> Standing:
    """Give up a place in the line. Idempotent."""
    found = standing(connection, name, now)
    for waiter in found.line:
        if waiter.holder == holder:
            _drop(connection, waiter)
    return replace(found, line=tuple(one for one in found.line if one.holder != holder))


def _own(found: Standing, proof: Proof, now: datetime) -> Lock:
    held = found.held(now)
    if held is not None and (held.holder, held.fence) == (proof.holder, proof.fence):
        return held
    raise refused(proof.name, found.lock, proof.fence)


def _taken(connection: Connection, found: Standing, claim: Claim, now: datetime) -> Standing:
    """By the first in the line, where there is one."""
    fence = _next_fence(connection, now)
    lock = Lock(*claim.name, fence, claim.holder, 1, now, now + claim.lease)
    if found.lock is None:
        _insert(connection, "locks", LOCK_COLUMNS, astuple(lock))
    else:
        _update(connection, lock)
    if found.line:
        _drop(connection, found.line[0])
    return Standing(lock, found.line[1:])


def _queued(connection: Connection, found: Standing, claim: Claim, now: datetime) -> Standing:
    own = next((waiter for waiter in found.line if waiter.holder == claim.holder), None)
    if claim.waits_until <= (now if own is None else own.waits_until):
        return found
    if own is None:
        # Of all memories: whoever was gone without a word leaves nothing for ever.
        statements.run(connection, "DELETE FROM store.lock_waiters WHERE waits_until <= ?", [now])
        ticket = next_numbers(connection, "ticket", 1)
        last = Waiter(ticket, *claim.name, claim.holder, claim.waits_until)
        _insert(connection, "lock_waiters", WAITER_COLUMNS, astuple(last))
        return replace(found, line=(*found.line, last))
    statements.run(
        connection,
        "UPDATE store.lock_waiters SET waits_until = ? WHERE ticket = ?",
        [claim.waits_until, own.ticket],
    )
    longer = replace(own, waits_until=claim.waits_until)
    return replace(found, line=tuple(longer if one is own else one for one in found.line))


def _kept(connection: Connection, found: Standing, lock: Lock, until: datetime) -> Standing:
    kept = replace(lock, expires_at=max(until, lock.expires_at or until))
    _update(connection, kept)
    return replace(found, lock=kept)


def _freed(connection: Connection, found: Standing, lock: Lock) -> Standing:
    free = replace(lock, holder=None, depth=0, acquired_at=None, expires_at=None)
    _update(connection, free)
    return replace(found, lock=free)


def _update(connection: Connection, lock: Lock) -> None:
    statements.run(
        connection,
        "UPDATE store.locks SET fence = ?, holder = ?, depth = ?, acquired_at = ?, expires_at = ? "
        "WHERE memory_id = ? AND system_id = ?",
        [*astuple(lock)[2:], lock.memory_id, lock.system_id],
    )


def _insert(connection: Connection, table: str, columns: str, values: tuple[object, ...]) -> None:
    places = statements.places(1, len(values))
    statements.run(connection, f"INSERT INTO store.{table} ({columns}) VALUES {places}", values)


def _drop(connection: Connection, waiter: Waiter) -> None:
    statements.run(connection, "DELETE FROM store.lock_waiters WHERE ticket = ?", [waiter.ticket])


def _next_fence(connection: Connection, now: datetime) -> int:
    rows = statements.run(
        connection,
        "UPDATE store.counters SET value = greatest(value + 1, ?) WHERE name = 'fence' "
        "RETURNING value",
        [int(now.timestamp() * 1000)],
    ).fetchall()
    return int(rows[0][0])
