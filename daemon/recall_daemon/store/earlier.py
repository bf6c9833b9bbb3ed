"""What memories said before they were changed, kept as versions for a while.

Without it an edit that was made of an earlier version could not be merged with what came since.
Those of cold rows are left out: their text is far away, and the row's own file keeps it.
"""

from __future__ import annotations

from collections.abc import Sequence

from recall_daemon.store import statements
from recall_daemon.store.store import Connection
from recall_daemon.versions.content import RECORD_JSON_SQL, ROOT_ID_SQL

_KEEP = f"""
INSERT OR REPLACE INTO store.memory_versions
SELECT m.system_id, m.memory_id, {ROOT_ID_SQL}, [], 'home', m.content_hash, {RECORD_JSON_SQL},
       m.system_id, m.agent_id, 0, coalesce(m.updated_at, m.created_at, m.merged_at),
       m.seq, m.sub, m.row_no, false, NULL
FROM store.memories m
WHERE m.state = 'live' AND m.cold_file IS NULL AND m.rowid IN
"""


def keep_changed(connection: Connection) -> None:
    """Of the rows that a merge is about to change; see `merge.merge_rows`."""
    connection.execute(
        f"{_KEEP} (SELECT place FROM winners WHERE NOT same AND state = 'live')"
    ).fetchall()


def keep_rows(connection: Connection, rowids: Sequence[int]) -> None:
    """Of a few rows, by where they lie in the table."""
    statements.run(connection, f"{_KEEP} {statements.places(1, len(rowids))}", rowids).fetchall()
