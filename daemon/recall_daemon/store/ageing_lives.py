"""The memories that decay, with what their importance and their age come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from recall_daemon.store import statements
from recall_daemon.store.lives import Life, Name
from recall_daemon.store.store import Connection

# Since when a memory ages: its event's time or its first merge, whichever is later.
SINCE_SQL = "greatest(coalesce(m.created_at, m.merged_at), m.merged_at)"


@dataclass(frozen=True)
class Aged:
    """A live memory with a memory tier.

    `importance` is what its content says, None where that says nothing; `since`: when its age
    began; `merged_at`: when it came to the hub.
    """

    life: Life
    importance: float | None
    since: datetime
    merged_at: datetime


_LIFE = ", ".join(f"l.{field.name}" for field in fields(Life))
_AGED = f"""
SELECT {_LIFE}, m.importance, {SINCE_SQL} AS since, m.merged_at
FROM store.lives l JOIN store.memories m
    ON m.memory_id = l.memory_id AND m.system_id = l.system_id
WHERE m.state = 'live' AND l.deletion_id IS NULL
"""


def aged(
    connection: Connection, since: Mapping[str, datetime], *, after: Name = ("", ""), limit: int
) -> list[Aged]:
    """The memories of some tiers whose age began at `since[tier]` or earlier, in the order of
    their names from `after` on."""
    due = " OR ".join(f"(l.memory_tier = ? AND {SINCE_SQL} <= ?)" for _ in since)
    rows = connection.execute(
        f"{_AGED} AND (l.system_id, l.memory_id) > (?, ?) AND ({due}) "
        "ORDER BY l.system_id, l.memory_id LIMIT ?",
        [*after, *(value for pair in since.items() for value in pair), limit],
    ).fetchall()
    return [_aged(row) for row in rows]


def aged_now(connection: Connection, names: Sequence[Name]) -> dict[Name, Aged]:
    """Those of a few hundred memories that are live and have a life."""
    if not names:
        return {}
    systems, ids = sorted({name[0] for name in names}), sorted({name[1] for name in names})
    rows = statements.run(
        connection,
        f"{_AGED} AND l.memory_id IN {statements.places(1, len(ids))} "
        f"AND l.system_id IN {statements.places(1, len(systems))}",
        [*ids, *systems],
    ).fetchall()
    wanted = set(names)
    return {(row[0], row[1]): _aged(row) for row in rows if (row[0], row[1]) in wanted}


def _aged(row: tuple[Any, ...]) -> Aged:
    *life, importance, since, merged_at = row
    return Aged(Life(*life), importance, since, merged_at)
