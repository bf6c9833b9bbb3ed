"""The memories that an agent keeps no longer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from recall_daemon.store import showing
from recall_daemon.store.ageing_lives import SINCE_SQL
from recall_daemon.store.showing import Memory
from recall_daemon.store.store import Connection
from recall_daemon.store.tiers import PINNED_SQL

_DUE = f"""
SELECT m.row_id FROM store.memories m
LEFT JOIN store.lives l ON l.memory_id = m.memory_id AND l.system_id = m.system_id
WHERE m.state = 'live' AND m.agent_id = ? AND {SINCE_SQL} <= ?
  AND NOT coalesce(l.pinned, false) AND NOT {PINNED_SQL}
"""


def due(
    connection: Connection, agent_id: str, before: datetime, *, after: int, limit: int
) -> list[Memory]:
    """Memories of the agent whose age began until then and that are not pinned, in the order of
    their rows from `after` on."""
    rows = connection.execute(
        f"{_DUE} AND m.row_id > ? ORDER BY m.row_id LIMIT ?", [agent_id, before, after, limit]
    ).fetchall()
    return _memories(connection, [row[0] for row in rows])


def still_due(
    connection: Connection, agent_id: str, before: datetime, row_ids: Sequence[int]
) -> list[Memory]:
    """Those of the rows that are due now."""
    rows = connection.execute(
        f"{_DUE} AND m.row_id IN (SELECT unnest(?::BIGINT[])) ORDER BY m.row_id",
        [agent_id, before, list(row_ids)],
    ).fetchall()
    return _memories(connection, [row[0] for row in rows])


def _memories(connection: Connection, row_ids: Sequence[int]) -> list[Memory]:
    found = showing.by_row_ids(connection, row_ids)
    return sorted(found, key=lambda memory: memory.row_id)
