"""What there is of an agent's memories, counted and measured."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from recall_daemon.index.filters import Filters
from recall_daemon.store import showing
from recall_daemon.store.shares import AGENT
from recall_daemon.store.store import Connection

Counts = dict[str, int]
Identity = tuple[str, str]

VECTOR_BYTES: Final = 4  # of each number of a hot passage; a coded one takes one, and its scale


def totals(connection: Connection, filters: Filters, now: datetime) -> Counts:
    """`{memories, hot, warm, cold, conflicts, locked, shared}` of the rows that pass: how many have
    an open conflict, a lock that lives, a live share."""
    where, values = showing.passing(filters)
    names = ("memories", "hot", "warm", "cold", "conflicts", "locked", "shared")
    rows = connection.execute(
        f"""
        WITH own AS (SELECT system_id, memory_id, tier FROM memories WHERE {where})
        SELECT count(*), count(*) FILTER (tier = 'hot'), count(*) FILTER (tier = 'warm'),
            count(*) FILTER (tier = 'cold'),
            count(*) FILTER ((system_id, memory_id) IN
                (SELECT (system_id, memory_id) FROM conflicts WHERE state = 'open')),
            count(*) FILTER ((system_id, memory_id) IN
                (SELECT (system_id, memory_id) FROM locks
                 WHERE holder IS NOT NULL AND expires_at > ?)),
            count(*) FILTER ((system_id, memory_id) IN
                (SELECT (system_id, memory_id) FROM memory_shares
                 WHERE grantee_kind = '{AGENT}' AND revoked_at IS NULL
                 AND (expires_at IS NULL OR expires_at > ?)))
        FROM own
        """,
        [*values, now, now],
    ).fetchall()
    return dict(zip(names, (int(value) for value in rows[0]), strict=True))


def allocation(connection: Connection, filters: Filters) -> Counts:
    """`{text_bytes, metadata_bytes, vector_bytes, version_bytes, vectors, versions}` of the rows
    that pass, as they lie in the store before it compresses them.

    Vectors are of distinct texts: who says the same as another shares its vectors. Texts of cold
    rows lie in the bucket, and are not counted.
    """
    where, values = showing.passing(filters)
    names = (
        *("text_bytes", "metadata_bytes"),
        *("vectors", "vector_bytes", "versions", "version_bytes"),
    )
    rows = connection.execute(
        f"""
        WITH own AS (
            SELECT system_id, memory_id, text_hash, text, metadata FROM memories WHERE {where}
        ), vectors AS (
            SELECT count(*) AS vectors, sum(
                coalesce(len(vector) * {VECTOR_BYTES}, 0)
                + coalesce(len(code) + {VECTOR_BYTES}, 0)) AS bytes
            FROM passages WHERE text_hash IN (SELECT text_hash FROM own)
        ), versions AS (
            SELECT count(*) AS versions, sum(strlen(record)) AS bytes FROM memory_versions
            WHERE (system_id, memory_id) IN (SELECT (system_id, memory_id) FROM own)
        )
        SELECT (SELECT sum(strlen(text)) FROM own), (SELECT sum(strlen(metadata)) FROM own),
            (SELECT vectors FROM vectors), (SELECT bytes FROM vectors),
            (SELECT versions FROM versions), (SELECT bytes FROM versions)
        """,
        values,
    ).fetchall()
    return dict(zip(names, (int(value or 0) for value in rows[0]), strict=True))


def in_conflict(connection: Connection, names: Sequence[Identity]) -> set[Identity]:
    """Those of some hundred memories that have an open conflict."""
    if not names:
        return set()
    rows = connection.execute(
        "SELECT DISTINCT system_id, memory_id FROM conflicts WHERE state = 'open' "
        f"AND memory_id IN ({', '.join('?' * len(names))})",
        [memory_id for _, memory_id in names],
    ).fetchall()
    return {(system_id, memory_id) for system_id, memory_id in rows} & set(names)


def children(connection: Connection, system_id: str, memory_id: str) -> list[int]:
    """The row ids of the live memories whose parent it is."""
    rows = connection.execute(
        "SELECT row_id FROM memories WHERE system_id = ? AND parent_id = ? AND state = 'live'",
        [system_id, memory_id],
    ).fetchall()
    return [int(row[0]) for row in rows]


def writers(connection: Connection) -> dict[str, int]:
    """How many live memories each agent wrote."""
    rows = connection.execute(
        "SELECT agent_id, count(*) FROM memories "
        "WHERE state = 'live' AND agent_id IS NOT NULL GROUP BY agent_id ORDER BY agent_id"
    ).fetchall()
    return {str(agent_id): int(count) for agent_id, count in rows}


_ALL: Final = f"""
SELECT
    (SELECT count(*) FROM memories WHERE state = 'live'),
    (SELECT count(*) FROM memory_versions),
    (SELECT count(*) FROM conflicts WHERE state = 'open'),
    (SELECT count(*) FROM conflicts WHERE state = 'resolved'),
    (SELECT count(*) FROM memory_shares WHERE grantee_kind = '{AGENT}' AND revoked_at IS NULL
        AND (expires_at IS NULL OR expires_at > $now)),
    (SELECT count(*) FROM share_rules WHERE revoked_at IS NULL),
    (SELECT count(*) FROM locks WHERE holder IS NOT NULL AND expires_at > $now),
    (SELECT count(*) FROM lock_waiters WHERE waits_until > $now),
    (SELECT count(*) FROM deletions WHERE undone_at IS NULL AND purged_at IS NULL),
    (SELECT count(*) FROM audit_log WHERE action = $action)
"""


def hub_wide(connection: Connection, now: datetime, read_across: str) -> dict[str, Any]:
    """Counts over all agents. `read_across`: the action of the audit log that is counted."""
    names = (
        *("memories", "versions", "open_conflicts", "resolved_conflicts", "live_shares"),
        *("live_rules", "held_locks", "waiting", "deletions_to_undo", "reads_across_agents"),
    )
    rows = connection.execute(_ALL, {"now": now, "action": read_across}).fetchall()
    return dict(zip(names, rows[0], strict=True))
