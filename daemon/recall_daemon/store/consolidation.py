"""Memories that may be consolidated, and the memory that is derived from some of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime

import pyarrow as pa

from recall_daemon.store import lives, posts, side_tables, statements
from recall_daemon.store.ageing_lives import SINCE_SQL
from recall_daemon.store.audit_log import Act
from recall_daemon.store.lives import Life
from recall_daemon.store.store import Connection, next_numbers
from recall_wire.records import Record

DERIVED_FROM = "derived_from"
MADE_BY = "hub"

# Nobody who sees the one memory but not the other may see what is made of both.
_KEY = """m.system_id, m.project, m.namespace, m.agent_id, m.user_id,
    list_sort(list_filter(coalesce(m.tags, []), lambda tag: starts_with(tag, 'category:')))"""

_FROM = f"""
FROM store.lives l JOIN store.memories m
    ON m.memory_id = l.memory_id AND m.system_id = l.system_id
WHERE m.state = 'live' AND l.memory_tier = 'short' AND l.deletion_id IS NULL
  AND m.text IS NOT NULL AND m.text_hash IS NOT NULL
  AND NOT EXISTS (
    SELECT 1 FROM store.relationships r WHERE r.to_id = m.memory_id AND r.to_system = m.system_id
      AND r.type = '{DERIVED_FROM}')
"""


@dataclass(frozen=True)
class Member:
    """A memory that may be consolidated, as of `change_no`; `key`: only those with the same may be
    together."""

    row_id: int
    change_no: int
    key: str
    memory_id: str
    text: str
    tags: Sequence[str]
    importance: float | None
    memory_tier: str
    anchor_importance: float | None
    anchored_at: datetime | None
    merged_at: datetime
    system_id: str
    project: str | None
    namespace: str | None
    agent_id: str | None
    user_id: str | None


def candidates(connection: Connection, at_least: int) -> pa.Table:
    """Every memory that has `at_least` - 1 others with its key: row_id, change_no and block, int64.

    Side by side those of one block, which have one key, in the order in which they were made.
    Reads no text.
    """
    return connection.sql(
        f"""
        WITH short AS (
            SELECT m.row_id, m.change_no, m.memory_id, {SINCE_SQL} AS since,
                   hash({_KEY}) AS key {_FROM}
        )
        SELECT row_id, change_no, dense_rank() OVER (ORDER BY key) AS block FROM short
        QUALIFY count(*) OVER (PARTITION BY key) >= {int(at_least)}
        ORDER BY key, since, memory_id
        """
    ).to_arrow_table()


_OF_LIFE = ("memory_tier", "anchor_importance", "anchored_at")


def members(connection: Connection, row_ids: Sequence[int]) -> list[Member]:
    """Those of the memories that may still be consolidated, in the order of `row_ids`."""
    columns = ", ".join(_column(field.name) for field in fields(Member))
    rows = statements.run(
        connection,
        f"SELECT {columns} {_FROM} AND m.row_id IN {statements.places(1, len(row_ids))}",
        list(row_ids),
    ).fetchall()
    found = {row[0]: Member(*row) for row in rows}
    return [found[row_id] for row_id in row_ids if row_id in found]


def _column(name: str) -> str:
    if name == "key":
        return f"to_json(({_KEY}))::VARCHAR"
    if name == "tags":
        return "coalesce(m.tags, [])"
    return f"l.{name}" if name in _OF_LIFE else f"m.{name}"


def is_known(connection: Connection, system_id: str, memory_id: str) -> bool:
    """Whether there is, or ever was, a memory of that name."""
    rows = statements.run(
        connection,
        "SELECT 1 FROM store.memories WHERE memory_id = ? AND system_id = ?",
        [memory_id, system_id],
    ).fetchall()
    return bool(rows)


def derive(
    connection: Connection, record: Record, life: Life, sources: Sequence[Member], now: datetime
) -> None:
    """Store a memory that is derived from others, and from which, in the running transaction."""
    names = [member.memory_id for member in sources]
    act = Act(
        MADE_BY,
        "memory.consolidated",
        life.system_id,
        {"memory_id": record.memory_id, "members": names},
    )
    posts.post_all(connection, {life.system_id: [record]}, now, [act])
    lives.put(connection, [life], now)
    first = next_numbers(connection, "relationship", len(names))
    rows = [
        {
            "relationship_id": number,
            "from_system": life.system_id,
            "from_id": record.memory_id,
            "to_system": life.system_id,
            "to_id": name,
            "type": DERIVED_FROM,
            "strength": 1.0,
            "made_by": MADE_BY,
            "created_at": now,
        }
        for number, name in enumerate(names, first)
    ]
    side_tables.put(connection, "relationships", rows, now)
