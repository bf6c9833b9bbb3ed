"""The memories that hang below one by their parent's id, which is of the same system."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from recall_daemon.store.store import Connection

Order = Literal["desc", "asc"]

# Asked level by level so far: each level reads the column once. What is deeper is found among all
# of the system's pairs, read at once, so that a chain of 100,000 is no 100,000 scans.
QUERIED_LEVELS: Final = 6


@dataclass(frozen=True)
class Weighed:
    """What the importance of a child follows from; see `agents.decay.anchor_of`."""

    row_id: int
    memory_id: str
    importance: float | None
    merged_at: datetime
    memory_tier: str | None
    anchor_importance: float | None
    anchored_at: datetime | None


def by_time(
    connection: Connection,
    system_id: str,
    memory_id: str,
    field: Literal["created_at", "updated_at"],
    order: Order,
) -> list[int]:
    """The row ids of the live children: no time last, of equals the lower id first."""
    rows = connection.execute(
        "SELECT row_id FROM memories "
        "WHERE system_id = ? AND state = 'live' AND parent_id = ? "
        f"ORDER BY {field} {order} NULLS LAST, memory_id",
        [system_id, memory_id],
    ).fetchall()
    return [int(row[0]) for row in rows]


def weighed(connection: Connection, system_id: str, memory_id: str) -> list[Weighed]:
    """The live children, in no order."""
    rows = connection.execute(
        "SELECT m.row_id, m.memory_id, m.importance, m.merged_at, l.memory_tier, "
        "       l.anchor_importance, l.anchored_at "
        "FROM memories m LEFT JOIN lives l USING (system_id, memory_id) "
        "WHERE m.system_id = ? AND m.state = 'live' AND m.parent_id = ?",
        [system_id, memory_id],
    ).fetchall()
    return [Weighed(*row) for row in rows]


def subtree(connection: Connection, system_id: str, memory_id: str, limit: int) -> list[str] | None:
    """The live memories below one and itself, each once, a parent before its children.

    None where there are more than `limit`. Ends also where parents go in circles.
    """
    found = {memory_id: None}
    level: Collection[str] = [memory_id]
    pairs: dict[str, list[str]] | None = None
    depth = 0
    while level and len(found) <= limit:
        if depth == QUERIED_LEVELS:
            pairs = _pairs(connection, system_id)
        below = (
            _below(connection, system_id, level)
            if pairs is None
            else [child for parent in level for child in pairs.get(parent, ())]
        )
        level = [child for child in dict.fromkeys(below) if child not in found]
        found |= dict.fromkeys(level)
        depth += 1
    return None if len(found) > limit else list(found)


def below(connection: Connection, system_id: str, memory_id: str) -> list[str]:
    """The live children, by id; itself left out."""
    return [child for child in _below(connection, system_id, [memory_id]) if child != memory_id]


def _below(connection: Connection, system_id: str, parents: Collection[str]) -> Sequence[str]:
    rows = connection.execute(
        "SELECT memory_id FROM memories WHERE system_id = ? AND state = 'live' "
        "AND parent_id IN (SELECT unnest(?::VARCHAR[])) ORDER BY memory_id",
        [system_id, list(parents)],
    ).fetchall()
    return [str(row[0]) for row in rows]


def _pairs(connection: Connection, system_id: str) -> dict[str, list[str]]:
    """The live children of each parent of a system."""
    rows = connection.execute(
        "SELECT parent_id, list(memory_id ORDER BY memory_id) FROM memories "
        "WHERE system_id = ? AND state = 'live' AND parent_id IS NOT NULL GROUP BY parent_id",
        [system_id],
    ).fetchall()
    return dict(rows)
