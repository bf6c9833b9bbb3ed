"""The logical hash, and the checks of the store against itself that `recalld verify` runs."""

from __future__ import annotations

import hashlib

from recall_daemon.store.merge import CONTENT_HASH_SQL
from recall_daemon.store.store import Connection

_BATCH_ROWS = 50_000


def logical_hash(connection: Connection) -> str:
    """sha256 over every row's identity, state and content, in the order of identity.

    Two hubs that hold the same memories agree on it: vectors, tiers, places and the order of
    arrival are not in it.
    """
    digest = hashlib.sha256()
    rows = connection.execute(
        "SELECT system_id, memory_id, state, content_hash FROM memories "
        "ORDER BY system_id, memory_id"
    )
    while batch := rows.fetchmany(_BATCH_ROWS):
        for row in batch:
            digest.update("\x1f".join(row).encode() + b"\x1e")
    return digest.hexdigest()


# Each check returns one number: how many rows break it.
_CHECKS = {
    "rows whose content does not match its hash": f"""
        SELECT count(*) FROM memories
        WHERE state = 'live' AND content_hash <> {CONTENT_HASH_SQL}""",
    "deleted rows that still hold text": """
        SELECT count(*) FROM memories WHERE state <> 'live' AND text IS NOT NULL""",
    "rows without an entry in the ledger": """
        SELECT count(*) FROM memories m ANTI JOIN snapshots s
        ON s.system_id = m.system_id AND s.seq = m.seq AND s.sub = m.sub""",
    "merged snapshots with rows left to merge": """
        SELECT count(*) FROM snapshots WHERE state = 'merged' AND rows_done < rows + deletes""",
    "rows with one number": """
        SELECT count(*) - count(DISTINCT row_id) FROM memories""",
    "rows or vectors beyond the last change number": """
        SELECT count(*) FROM (SELECT change_no FROM memories UNION ALL
                              SELECT change_no FROM vectors)
        WHERE change_no > (SELECT value FROM counters WHERE name = 'change_no')""",
    "vectors of another length than their space's": """
        SELECT count(*) FROM vectors
        WHERE len(vector) <> try_cast(regexp_extract(space_id, ':(\\d+)(:raw)?$', 1) AS BIGINT)""",
}


def problems(connection: Connection) -> list[str]:
    """One sentence for each check that fails; empty when the store agrees with itself."""
    found = []
    for what, sql in _CHECKS.items():
        count = connection.execute(sql).fetchall()[0][0]
        if count:
            found.append(f"{count} {what}")
    return found
