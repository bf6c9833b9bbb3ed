"""The answers to writes that came with an idempotency key: a retry gets the same one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from recall_daemon.errors import KeyReused
from recall_daemon.store import statements
from recall_daemon.store.store import Connection

KEPT = timedelta(hours=24)


@dataclass(frozen=True)
class Key:
    """`caller` may use any key; `request_sha256` tells what it was used for."""

    caller: str
    key: str
    request_sha256: str


@dataclass(frozen=True)
class Answered:
    request_sha256: str
    answer: str


def find(connection: Connection, key: Key, now: datetime) -> Answered | None:
    """What was answered before, if it is at most `KEPT` old."""
    rows = statements.run(
        connection,
        "SELECT request_sha256, answer FROM answers "
        "WHERE caller = ? AND key = ? AND answered_at > ?",
        [key.caller, key.key, now - KEPT],
    ).fetchall()
    return Answered(*rows[0]) if rows else None


def keep(connection: Connection, key: Key, answer: str, now: datetime) -> None:
    """In the transaction that does what is answered."""
    statements.run(
        connection,
        "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?)",
        [key.caller, key.key, key.request_sha256, answer, now],
    )


def once(
    connection: Connection, key: Key | None, now: datetime, act: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """What `act` answers, kept in its transaction; a retry with the key gets it without an act.

    Raises `KeyReused`.
    """
    if key is None:
        return act()
    known = find(connection, key, now)
    if known is None:
        told = act()
        keep(connection, key, json.dumps(told), now)
        return told
    check_same(known, key)
    again: dict[str, Any] = json.loads(known.answer)
    return again


def check_same(known: Answered, key: Key) -> None:
    """Raises `KeyReused` where the key was used for something else."""
    if known.request_sha256 != key.request_sha256:
        raise KeyReused(
            "this idempotency key was used for another request",
            hint="use a new key for each thing to be done",
        )


def drop(connection: Connection, key: Key) -> None:
    """Have the key count as not used: what was answered is undone."""
    statements.run(
        connection, "DELETE FROM answers WHERE caller = ? AND key = ?", [key.caller, key.key]
    )


def prune(connection: Connection, now: datetime) -> None:
    """Drop those that are too old to be asked for."""
    connection.execute("DELETE FROM answers WHERE answered_at <= ?", [now - KEPT])
