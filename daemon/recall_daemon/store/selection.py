"""Which memories a forget is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from recall_daemon.store.store import Connection


@dataclass(frozen=True)
class Wanted:
    """What a memory must be; empty and None allow all. `is_live`: what is gone is left out."""

    ids: Sequence[tuple[str, str]]
    systems: Sequence[str]
    projects: Sequence[str]
    since: datetime | None
    until: datetime | None
    is_live: bool


@dataclass(frozen=True)
class Row:
    """A memory that is wanted. `text` only where it was asked for, and is in the store.

    `settled_at`: when the snapshot, or the forget, that its present state came with was merged.
    """

    row_id: int
    system_id: str
    memory_id: str
    state: str
    tier: str
    text: str | None
    has_text: bool
    settled_at: datetime | None


_SELECT = """
SELECT row_id, system_id, memory_id, m.state, tier, CASE WHEN $with_text THEN text END,
       text_hash IS NOT NULL, settled_at
FROM memories m LEFT JOIN snapshots s USING (system_id, seq, sub)
WHERE row_id > $after
  AND (m.state = 'live' OR NOT $is_live)
  AND (len($systems::VARCHAR[]) = 0 OR system_id IN (SELECT unnest($systems::VARCHAR[])))
  AND (len($projects::VARCHAR[]) = 0 OR project IN (SELECT unnest($projects::VARCHAR[])))
  AND ($since IS NULL OR m.created_at >= $since)
  AND ($until IS NULL OR m.created_at < $until)
  AND (len($id_systems::VARCHAR[]) = 0 OR (system_id, memory_id) IN (
      SELECT (unnest($id_systems::VARCHAR[]), unnest($id_memories::VARCHAR[]))))
ORDER BY row_id LIMIT $limit
"""


def rows(
    connection: Connection, wanted: Wanted, *, after: int, limit: int, with_text: bool
) -> list[Row]:
    """At most `limit` memories with a higher row id than `after`, lowest first."""
    values: dict[str, Any] = {
        "after": after,
        "limit": limit,
        "with_text": with_text,
        "is_live": wanted.is_live,
        "systems": list(wanted.systems),
        "projects": list(wanted.projects),
        "since": wanted.since,
        "until": wanted.until,
        "id_systems": [system_id for system_id, _ in wanted.ids],
        "id_memories": [memory_id for _, memory_id in wanted.ids],
    }
    return [Row(*row) for row in connection.execute(_SELECT, values).fetchall()]


def files_with_dead_rows(connection: Connection) -> list[int]:
    """The cold files, retired ones too, that hold rows which no row needs there any more."""
    found = connection.execute(
        "SELECT c.file_no FROM cold_files c LEFT JOIN ("
        "    SELECT cold_file, count(*) AS live FROM memories "
        "    WHERE state = 'live' AND tier = 'cold' GROUP BY cold_file"
        ") m ON m.cold_file = c.file_no WHERE coalesce(m.live, 0) < c.rows ORDER BY c.file_no"
    ).fetchall()
    return [int(row[0]) for row in found]
