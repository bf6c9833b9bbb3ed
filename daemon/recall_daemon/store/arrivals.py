"""What has come, newest first: the ledger as a list to page through."""

from __future__ import annotations

from collections.abc import Collection

from recall_daemon.store import ledger
from recall_daemon.store.ledger import Entry, Place, State
from recall_daemon.store.store import Connection


def posted_to(connection: Connection, systems: Collection[str]) -> bool:
    """Whether a memory was ever posted to one of these systems."""
    rows = connection.execute(
        "SELECT count(*) FROM snapshots "
        "WHERE kind = 'post' AND list_contains(?::VARCHAR[], system_id)",
        [list(systems)],
    ).fetchall()
    return bool(rows[0][0])


def arrivals(
    connection: Connection,
    *,
    systems: Collection[str] | None,
    state: State | None,
    limit: int,
    offset: int,
) -> list[Entry]:
    """At most `limit` entries after the first `offset`, by when they settled or were first seen.

    `systems`, `state`: None for all.
    """
    rows = connection.execute(
        """
        SELECT system_id, seq, sub FROM snapshots
        WHERE ($systems IS NULL OR list_contains($systems::VARCHAR[], system_id))
          AND state = coalesce($state, state)
        ORDER BY coalesce(settled_at, first_seen_at) DESC, system_id, seq DESC, sub DESC
        LIMIT $limit OFFSET $offset
        """,
        {
            "systems": None if systems is None else list(systems),
            "state": state,
            "limit": limit,
            "offset": offset,
        },
    ).fetchall()
    found = (ledger.find(connection, Place(*row)) for row in rows)
    return [entry for entry in found if entry is not None]
