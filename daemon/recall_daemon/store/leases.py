"""Who runs a kind of job until when: one row a name, which no crash keeps beyond its time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from recall_daemon.store.store import Connection


@dataclass(frozen=True)
class Lease:
    name: str
    holder: str
    expires_at: datetime


def take(connection: Connection, lease: Lease, now: datetime) -> Lease | None:
    """Take a lease in the running transaction, or make one's own last longer.

    Returns None once it is taken, else the living lease of the other that has it.
    """
    held = find(connection, lease.name)
    if held is not None and held.holder != lease.holder and held.expires_at > now:
        return held
    connection.execute(
        "INSERT OR REPLACE INTO leases (name, holder, expires_at) VALUES (?, ?, ?)",
        [lease.name, lease.holder, lease.expires_at],
    )
    return None


def release(connection: Connection, name: str, holder: str) -> None:
    """Give up one's own lease. Idempotent; another's stays."""
    connection.execute("DELETE FROM leases WHERE name = ? AND holder = ?", [name, holder])


def release_dead(connection: Connection, prefix: str) -> None:
    """Drop the leases of processes that are gone: of all whose holder does not begin so."""
    connection.execute("DELETE FROM leases WHERE NOT starts_with(holder, ?)", [prefix])


def find(connection: Connection, name: str) -> Lease | None:
    """The lease as it was last taken, expired or not."""
    rows = connection.execute(
        "SELECT name, holder, expires_at FROM leases WHERE name = ?", [name]
    ).fetchall()
    return Lease(*rows[0]) if rows else None
