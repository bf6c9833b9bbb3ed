"""Leases on memories: who holds each, who waits for it, and the fence that every mutation carries.

A lease that has run out is free at once, for whether it lives is computed when it is read.
`leasing` gives and takes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from recall_daemon.errors import AgentInvalid, LockNotHeld, MemoryLocked, StaleFence
from recall_daemon.store import statements
from recall_daemon.store.store import Connection

Identity = tuple[str, str]

LOCK_COLUMNS: Final = "system_id, memory_id, fence, holder, depth, acquired_at, expires_at"
WAITER_COLUMNS: Final = "ticket, system_id, memory_id, holder, waits_until"
# Of one look-up by the index of memory ids.
_AT_ONCE: Final = 250


@dataclass(frozen=True)
class Lock:
    """A memory's lease, `depth` times taken. `holder` None: released; its fence stays for ever."""

    system_id: str
    memory_id: str
    fence: int
    holder: str | None
    depth: int
    acquired_at: datetime | None
    expires_at: datetime | None

    @property
    def identity(self) -> Identity:
        return self.system_id, self.memory_id

    def lives(self, now: datetime) -> bool:
        return self.holder is not None and self.expires_at is not None and now < self.expires_at


@dataclass(frozen=True)
class Waiter:
    """A place in a memory's line, in the order of the tickets. It is void from `waits_until` on."""

    ticket: int
    system_id: str
    memory_id: str
    holder: str
    waits_until: datetime

    @property
    def identity(self) -> Identity:
        return self.system_id, self.memory_id


@dataclass(frozen=True)
class Standing:
    """How it stands with a memory: its lease, living or not, and who waits, the first first."""

    lock: Lock | None
    line: tuple[Waiter, ...]

    def held(self, now: datetime) -> Lock | None:
        """The lease, where it lives."""
        return self.lock if self.lock is not None and self.lock.lives(now) else None


def standing(connection: Connection, name: Identity, now: datetime) -> Standing:
    """Places in the line whose time is over are left out. Read-only."""
    waiters = statements.run(
        connection,
        f"SELECT {WAITER_COLUMNS} FROM store.lock_waiters "
        "WHERE memory_id = ? AND system_id = ? AND waits_until > ? ORDER BY ticket",
        [name[1], name[0], now],
    ).fetchall()
    return Standing(_find(connection, name), tuple(Waiter(*row) for row in waiters))


def check(
    connection: Connection,
    identities: Sequence[Identity],
    *,
    holder: str,
    fences: Mapping[Identity, int] | int | None,
    now: datetime,
) -> None:
    """Whether a mutation of these memories may go on; to be asked in its own transaction.

    `fences` are by memory; a single one is that of the first. While a lease lives, a mutation
    carries its fence, whoever sends it. A fence that is given is the one of a living lease: one of
    a lease that was released, taken away or ran out is refused, for others may have written since.
    Raises `MemoryLocked` (another holds it, and no fence was given), `StaleFence` (a later lease
    was given), `LockNotHeld` (the fence is of no living lease), and `AgentInvalid` where the holder
    itself leaves its fence out.
    """
    given = _by_memory(identities, fences)
    found = find_all(connection, identities)
    for name in dict.fromkeys(identities):
        _check_one(name, found.get(name), holder, given.get(name), now)


def find_all(connection: Connection, names: Sequence[Identity]) -> dict[Identity, Lock]:
    """The leases, living or not, of those that ever had one. Read-only."""
    found: dict[Identity, Lock] = {}
    wanted = list(dict.fromkeys(names))
    for start in range(0, len(wanted), _AT_ONCE):
        part = set(wanted[start : start + _AT_ONCE])
        found |= {lock.identity: lock for lock in _some(connection, part) if lock.identity in part}
    return found


def living(connection: Connection, now: datetime) -> list[Lock]:
    """Every lease that lives, the longest held first. Read-only."""
    rows = statements.run(
        connection,
        f"SELECT {LOCK_COLUMNS} FROM store.locks "
        "WHERE holder IS NOT NULL AND expires_at > ? ORDER BY fence",
        [now],
    ).fetchall()
    return [Lock(*row) for row in rows]


def waiting(connection: Connection, now: datetime) -> list[Waiter]:
    """Everybody who waits, in the order they came. Read-only."""
    rows = connection.execute(
        f"SELECT {WAITER_COLUMNS} FROM lock_waiters WHERE waits_until > ? ORDER BY ticket", [now]
    ).fetchall()
    return [Waiter(*row) for row in rows]


def of_fence(connection: Connection, fence: int) -> Lock | None:
    """The lease whose fence it is, living or not: no two have the same. Read-only."""
    rows = statements.run(
        connection, f"SELECT {LOCK_COLUMNS} FROM store.locks WHERE fence = ?", [fence]
    ).fetchall()
    return Lock(*rows[0]) if rows else None


def _find(connection: Connection, name: Identity) -> Lock | None:
    rows = statements.run(
        connection,
        f"SELECT {LOCK_COLUMNS} FROM store.locks WHERE memory_id = ? AND system_id = ?",
        [name[1], name[0]],
    ).fetchall()
    return Lock(*rows[0]) if rows else None


def _some(connection: Connection, names: set[Identity]) -> list[Lock]:
    systems, ids = sorted({name[0] for name in names}), sorted({name[1] for name in names})
    rows = statements.run(
        connection,
        f"SELECT {LOCK_COLUMNS} FROM store.locks "
        f"WHERE memory_id IN {statements.places(1, len(ids))} "
        f"AND system_id IN {statements.places(1, len(systems))}",
        [*ids, *systems],
    ).fetchall()
    return [Lock(*row) for row in rows]


def _by_memory(
    identities: Sequence[Identity], fences: Mapping[Identity, int] | int | None
) -> Mapping[Identity, int]:
    if fences is None:
        return {}
    return dict.fromkeys(identities[:1], fences) if isinstance(fences, int) else fences


def _check_one(
    name: Identity, lock: Lock | None, holder: str, fence: int | None, now: datetime
) -> None:
    held = lock if lock is not None and lock.lives(now) else None
    if fence is not None:
        if held is None or held.fence != fence:
            raise refused(name, lock, fence)
    elif held is not None and held.holder == holder:
        raise AgentInvalid(
            f"{_said(name)} is locked by yourself, and its fence was not sent",
            hint="send the fence that the lock came with",
        )
    elif held is not None:
        raise locked(name, held)


def locked(name: Identity, held: Lock | None) -> MemoryLocked:
    """`held` None: it is free, and others wait longer."""
    until = f" until {held.expires_at.isoformat()}" if held and held.expires_at else ""
    what = "another holds the lock of" if held else "others wait longer for the lock of"
    return MemoryLocked(f"{what} {_said(name)}{until}", hint="wait for it with `POST /v1/locks`")


def refused(name: Identity, lock: Lock | None, fence: int) -> StaleFence | LockNotHeld:
    if lock is not None and fence < lock.fence:
        return StaleFence(
            f"{_said(name)} was locked again since the fence {fence}",
            hint="lock it anew, and read it before you write",
        )
    return LockNotHeld(
        f"the fence {fence} is of no lease on {_said(name)} that lives",
        hint="lock it anew, and read it before you write",
    )


def _said(name: Identity) -> str:
    return f"{name[0]}/{name[1]}"[:120]
