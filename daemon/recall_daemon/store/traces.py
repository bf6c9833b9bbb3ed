"""Where texts of a system's memories are, beside what its own snapshots and posts tell of.

What is noted here stays when the memories are forgotten: it names systems and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Collection

from recall_daemon.store import ledger
from recall_daemon.store.store import Connection

_EDITORS, _LOGGED = "editors of ", "versions logged of "


def note_editor(connection: Connection, system_id: str, editor: str) -> None:
    """A snapshot of another system has rows about memories of this one."""
    known = _editors(connection, system_id)
    if editor not in known:
        said = json.dumps(sorted({*known, editor}))
        ledger.set_fact(connection, f"{_EDITORS}{system_id}", said)


def editors(connection: Connection, systems: Collection[str]) -> set[str]:
    """The systems whose snapshots may have rows about memories of these."""
    return {editor for system_id in systems for editor in _editors(connection, system_id)}


def note_logged(connection: Connection, system_id: str, memory_ids: Collection[str]) -> None:
    """Before versions of memories are dropped for ever: the log has had them, if there are any."""
    rows = connection.execute(
        "SELECT 1 FROM store.memory_versions "
        "WHERE memory_id IN (SELECT unnest(?::VARCHAR[])) AND system_id = ? LIMIT 1",
        [list(memory_ids), system_id],
    ).fetchall()
    if rows:
        ledger.set_fact(connection, f"{_LOGGED}{system_id}", "yes")


def is_logged(connection: Connection, systems: Collection[str]) -> bool:
    """Whether the log may have versions of memories of these systems."""
    if any(ledger.fact(connection, f"{_LOGGED}{system_id}") for system_id in systems):
        return True
    rows = connection.execute(
        "SELECT 1 FROM memory_versions WHERE system_id IN (SELECT unnest(?::VARCHAR[])) LIMIT 1",
        [list(systems)],
    ).fetchall()
    return bool(rows)


def _editors(connection: Connection, system_id: str) -> list[str]:
    told = ledger.fact(connection, f"{_EDITORS}{system_id}")
    return [] if told is None else list(json.loads(told))
