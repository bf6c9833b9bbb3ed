"""What lies beside the memories, checked against them, and what a forgotten one left there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from recall_daemon.store import side_tables, versions
from recall_daemon.store.lives import Name
from recall_daemon.store.store import Connection

# Where a memory is named, and by which columns.
_NAMED = {
    "memory_versions": [("system_id", "memory_id")],
    "lives": [("system_id", "memory_id")],
    "conflicts": [("system_id", "memory_id")],
    "memory_shares": [("system_id", "memory_id")],
    "group_members": [("system_id", "memory_id")],
    "relationships": [("from_system", "from_id"), ("to_system", "to_id")],
}
_ALL_NAMED = " UNION ALL ".join(
    f"SELECT '{table}' AS what, {system} AS system_id, {memory} AS memory_id FROM store.{table}"
    for table, names in _NAMED.items()
    for system, memory in names
)

# Of a memory that is served by its versions. An empty head: its own system deleted it.
_UNLIKE_THEIR_HEAD = """
FROM store.lives l
JOIN store.memories m ON m.system_id = l.system_id AND m.memory_id = l.memory_id
LEFT JOIN store.memory_versions v
    ON v.system_id = l.system_id AND v.memory_id = l.memory_id AND v.version_id = l.head
WHERE l.deletion_id IS NULL AND (
    (m.state = 'live' AND (l.head = '' OR v.content_hash <> m.content_hash))
    OR (m.state = 'deleted' AND v.record IS NOT NULL))
"""

# Each check returns one number: how many rows break it.
_CHECKS = {
    "rows beside memories that are forgotten": f"""
        SELECT count(*) FROM ({_ALL_NAMED}) JOIN store.memories USING (system_id, memory_id)
        WHERE state = 'forgotten'""",
    "memories whose head is no version of theirs": """
        SELECT count(*) FROM store.lives l ANTI JOIN store.memory_versions v
        ON v.system_id = l.system_id AND v.memory_id = l.memory_id AND v.version_id = l.head
        WHERE l.head <> ''""",
    "memories that say something else than their head": f"""
        SELECT count(*) {_UNLIKE_THEIR_HEAD}""",
    "memories that are deleted and live": """
        SELECT count(*) FROM store.lives l
        JOIN store.memories m ON m.system_id = l.system_id AND m.memory_id = l.memory_id
        WHERE m.state = 'live' AND l.deletion_id IS NOT NULL""",
    "memories that a deletion deleted which is not there": """
        SELECT count(*) FROM store.lives l ANTI JOIN store.deletions d USING (deletion_id)
        WHERE l.deletion_id IS NOT NULL""",
    "members of groups that are not there": """
        SELECT count(*) FROM store.group_members ANTI JOIN store.context_groups USING (group_id)""",
    "memories of no memory tier that is known": """
        SELECT count(*) FROM store.lives
        WHERE memory_tier NOT IN ('short', 'medium', 'long')""",
    "conflicts of versions that are not there": """
        SELECT count(*) FROM store.conflicts c
        WHERE c.state = 'open' AND (SELECT count(*) FROM store.memory_versions v
            WHERE v.system_id = c.system_id AND v.memory_id = c.memory_id
              AND v.version_id IN (c.ours, c.theirs)) < 2""",
}


def problems(connection: Connection) -> list[str]:
    """One sentence for each check that fails."""
    found = []
    for what, sql in _CHECKS.items():
        count = connection.execute(sql).fetchall()[0][0]
        if count:
            found.append(f"{count} {what}")
    return found


def left_over(connection: Connection, limit: int) -> list[Name]:
    """Forgotten memories that something beside them still names."""
    rows = connection.execute(
        f"SELECT DISTINCT system_id, memory_id FROM ({_ALL_NAMED}) "
        "JOIN store.memories USING (system_id, memory_id) WHERE state = 'forgotten' "
        "ORDER BY ALL LIMIT ?",
        [limit],
    ).fetchall()
    return [(row[0], row[1]) for row in rows]


def unlike_their_head(connection: Connection, limit: int) -> list[Name]:
    """Memories whose row says something else than the version that is to be served."""
    rows = connection.execute(
        f"SELECT l.system_id, l.memory_id {_UNLIKE_THEIR_HEAD} ORDER BY ALL LIMIT ?", [limit]
    ).fetchall()
    return [(row[0], row[1]) for row in rows]


def clear(connection: Connection, names: Sequence[Name], now: datetime) -> None:
    """Take away all that names these forgotten memories, in the running transaction."""
    for system_id, memory_id in names:
        versions.remove(connection, system_id, [memory_id])
        for table in ("relationships", "group_members"):
            _remove(connection, table, (system_id, memory_id), now)


def _remove(connection: Connection, table: str, name: Name, now: datetime) -> None:
    keys = side_tables.KEYS[table]
    where = " OR ".join(f"({system} = ? AND {memory} = ?)" for system, memory in _NAMED[table])
    rows = connection.execute(
        f"SELECT {', '.join(keys)} FROM store.{table} WHERE {where}",
        [*name] * len(_NAMED[table]),
    ).fetchall()
    found = [dict(zip(keys, row, strict=True)) for row in rows]
    if found:
        side_tables.remove(connection, table, found, now)
