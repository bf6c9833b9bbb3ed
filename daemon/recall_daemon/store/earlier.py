"""What memories said before they were changed, kept as versions for a while.

Without it an edit that was made of an earlier version could not be merged with what came since.
Those of cold rows are left out: their text is far away, and the row's own file keeps it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from recall_daemon.store import statements
from recall_daemon.store.ledger import Place
from recall_daemon.store.store import Connection
from recall_daemon.versions.content import RECORD_JSON_SQL, ROOT_ID_SQL
from recall_daemon.versions.graph import NOT_LOOKED_UP

_KEEP = f"""
INSERT OR REPLACE INTO store.memory_versions
SELECT m.system_id, m.memory_id, {ROOT_ID_SQL}, [], 'home', m.content_hash, {RECORD_JSON_SQL},
       m.system_id, m.agent_id, {NOT_LOOKED_UP}, coalesce(m.updated_at, m.created_at, m.merged_at),
       m.seq, m.sub, m.row_no, false, NULL
FROM store.memories m
WHERE m.state = 'live' AND m.cold_file IS NULL AND m.rowid IN
"""


_KEEP_LATE = f"""
INSERT OR IGNORE INTO store.memory_versions
SELECT $system_id, m.memory_id, {ROOT_ID_SQL}, [], 'home', m.content_hash, {RECORD_JSON_SQL},
       $system_id, m.agent_id, {NOT_LOOKED_UP}, coalesce(m.updated_at, m.created_at, $now),
       $seq, $sub, m.row_no, false, NULL
FROM incoming_rows m
JOIN store.memories s ON s.system_id = $system_id AND s.memory_id = m.memory_id
WHERE m.state = 'live' AND s.state = 'live' AND s.content_hash <> m.content_hash
  AND (s.seq, s.sub, s.row_no) > ($seq, $sub, m.row_no)
"""


def keep_late(connection: Connection, place: Place, now: datetime) -> None:
    """Of the rows of a merge that came after those of a higher place, and so change nothing."""
    values = {"system_id": place.system_id, "seq": place.seq, "sub": place.sub, "now": now}
    connection.execute(_KEEP_LATE, values).fetchall()


def keep_changed(connection: Connection) -> None:
    """Of the rows that a merge is about to change; see `merge.merge_rows`."""
    connection.execute(
        f"{_KEEP} (SELECT place FROM winners WHERE NOT same AND state = 'live')"
    ).fetchall()


def keep_rows(connection: Connection, rowids: Sequence[int]) -> None:
    """Of a few rows, by where they lie in the table."""
    statements.run(connection, f"{_KEEP} {statements.places(1, len(rowids))}", rowids).fetchall()
