"""Versions that are kept for nobody any more."""

from __future__ import annotations

from datetime import datetime

from recall_daemon.store.store import Connection

# When a home version was followed by another is when the snapshot of that one was settled. The
# newest of a memory whose versions are weighed says what its own system says, and stays.
_PRUNED = """
WITH homes AS (
    SELECT rowid AS place, system_id, memory_id, version_id, content_hash,
           lead(seq) OVER later AS next_seq, lead(sub) OVER later AS next_sub
    FROM store.memory_versions WHERE kind = 'home'
    WINDOW later AS (PARTITION BY system_id, memory_id ORDER BY seq, sub, row_no)
)
SELECT h.place FROM homes h
JOIN store.memories m ON m.system_id = h.system_id AND m.memory_id = h.memory_id
JOIN store.snapshots s ON s.system_id = h.system_id
    AND s.seq = coalesce(h.next_seq, m.seq) AND s.sub = coalesce(h.next_sub, m.sub)
LEFT JOIN store.lives l ON l.system_id = h.system_id AND l.memory_id = h.memory_id
WHERE s.settled_at <= $before AND h.content_hash <> m.content_hash AND l.deletion_id IS NULL
  AND (l.head IS NULL OR (l.head <> h.version_id AND h.next_seq IS NOT NULL))
  AND NOT EXISTS (
    SELECT 1 FROM store.memory_versions v
    WHERE v.system_id = h.system_id AND v.memory_id = h.memory_id
      AND list_contains(v.parents, h.version_id))
  AND NOT EXISTS (
    SELECT 1 FROM store.conflicts c
    WHERE c.system_id = h.system_id AND c.memory_id = h.memory_id
      AND h.version_id IN (c.base, c.ours, c.theirs, c.winner, c.resolution))
LIMIT $limit
"""


def prune(connection: Connection, before: datetime, limit: int) -> int:
    """Drop versions of memories' own systems that were followed by others before that moment, and
    that no other version, no conflict and no head needs; returns how many, at most `limit`.

    In no journal: a restored hub, which has some of them again, drops them again.
    """
    places = connection.execute(_PRUNED, {"before": before, "limit": limit}).fetchall()
    connection.execute(
        "DELETE FROM store.memory_versions WHERE rowid IN (SELECT unnest(?::BIGINT[]))",
        [[place for (place,) in places]],
    ).fetchall()
    return len(places)
