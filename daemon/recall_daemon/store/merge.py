"""Rows into memories, together with their ledger entry, in one transaction.

Within a system the higher (seq, sub, row_no) wins, in whatever order snapshots arrive; a forgotten
memory never comes back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from recall_daemon.store import earlier, journal_texts, purge, vanished, versions
from recall_daemon.store.ledger import Place
from recall_daemon.store.store import Connection, next_numbers

# The fields of a record, as the logical hash sees them. Float and time become integers, so that the
# hash does not depend on how a version of DuckDB prints them.
CONTENT_HASH_SQL = """substr(sha256(to_json([
    kind, text, epoch_us(created_at)::VARCHAR, epoch_us(updated_at)::VARCHAR, project, namespace,
    session_id, agent_id, user_id, to_json(tags)::VARCHAR,
    round(importance::DOUBLE * 1000000)::BIGINT::VARCHAR, parent_id, metadata, base_version
])::VARCHAR), 1, 32)"""

_FIELDS = (
    "kind, text, created_at, updated_at, project, namespace, session_id, agent_id, user_id, "
    "tags, importance, parent_id, metadata, base_version"
)

# A row that deletes carries no content: identity and state are all that stays.
_INCOMING = f"""
CREATE OR REPLACE TEMP TABLE incoming_rows AS
SELECT memory_id, op, row_no,
       CASE op WHEN 'upsert' THEN 'live' WHEN 'delete' THEN 'deleted' ELSE 'forgotten' END AS state,
       CASE WHEN op = 'upsert' THEN {CONTENT_HASH_SQL} ELSE '' END AS content_hash,
       text_hash, {_FIELDS}
FROM incoming
QUALIFY row_number() OVER (
    PARTITION BY memory_id ORDER BY (op = 'forget') DESC, row_no DESC
) = 1
"""

# `place` is where the row lies in the table, as long as this transaction lasts. Rows are updated in
# the order of the table: in another one 50,000 take 60 s instead of 0.2.
_WINNERS = """
CREATE OR REPLACE TEMP TABLE winners AS
SELECT i.*, m.rowid AS place, m.row_id AS old_row_id, m.merged_at AS old_merged_at,
       m.text_hash AS old_text_hash, m.tags IS NOT DISTINCT FROM i.tags AS same_tags,
       m.state IS NOT DISTINCT FROM i.state
           AND m.content_hash IS NOT DISTINCT FROM i.content_hash AS same
FROM incoming_rows i
LEFT JOIN store.memories m ON m.system_id = $system_id AND m.memory_id = i.memory_id
WHERE m.row_id IS NULL
   OR (m.state <> 'forgotten'
       AND (i.state = 'forgotten' OR (m.seq, m.sub, m.row_no) < ($seq, $sub, i.row_no)))
ORDER BY place
"""

# The same content from a higher place moves the place alone: without it a late snapshot from
# between the two would win wrongly. It is no change that an index has to hear of.
_TOUCH = """
UPDATE store.memories SET seq = $seq, sub = $sub, row_no = w.row_no
FROM winners w WHERE w.same AND memories.rowid = w.place
"""

# Every column is named: one that is not would keep what the row had there before.
_CHANGES = """
CREATE OR REPLACE TEMP TABLE changes AS
SELECT place, place IS NOT NULL AND same_tags AS in_place,
       coalesce(old_row_id,
                $first_row + count(*) FILTER (old_row_id IS NULL) OVER earlier) AS row_id,
       $first_change + count(*) OVER earlier AS change_no,
       $system_id AS system_id, memory_id, state, $seq AS seq, $sub AS sub, row_no, content_hash,
       CASE WHEN state = 'live' THEN text_hash END AS text_hash,
       coalesce(old_merged_at, $now) AS merged_at, 'hot' AS tier,
       NULL::VARCHAR AS summary, NULL::BIGINT AS cold_file, NULL::BIGINT AS cold_row,
       {fields}
FROM winners WHERE NOT same
WINDOW earlier AS (ORDER BY row_no ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
ORDER BY place
""".format(
    fields=", ".join(
        f"CASE WHEN state = 'live' THEN {name} END AS {name}" for name in _FIELDS.split(", ")
    )
)

# DuckDB updates in place what has no index and is no list: 50,000 rows take 0.13 s. Where the tags
# change the row is deleted and inserted, which takes 2 s, and an INSERT OR REPLACE of it 4 s.
_UPDATE = """
UPDATE store.memories SET {assignments} FROM changes c
WHERE c.in_place AND memories.rowid = c.place
""".format(
    assignments=", ".join(
        f"{name} = c.{name}"
        for name in (
            *["change_no", "state", "seq", "sub", "row_no", "content_hash", "text_hash"],
            *["tier", "summary", "cold_file", "cold_row"],
            *(name for name in _FIELDS.split(", ") if name != "tags"),
        )
    )
)

_DELETE = """
DELETE FROM store.memories
WHERE rowid IN (SELECT place FROM changes WHERE place IS NOT NULL AND NOT in_place)
"""

_INSERT = """
INSERT INTO store.memories BY NAME
SELECT * EXCLUDE (place, in_place) FROM changes WHERE NOT in_place ORDER BY change_no
"""

# What a row no longer says must not stay behind as its vector.
_VANISHED = """
INSERT INTO store.vanished_texts SELECT DISTINCT old_text_hash FROM winners
WHERE NOT same AND old_text_hash IS NOT NULL
  AND (state <> 'live' OR text_hash IS DISTINCT FROM old_text_hash)
"""


@dataclass(frozen=True)
class Merged:
    """What one batch did: rows that changed, and rows that only moved to a higher place.

    `forgotten`: the memories, among those that changed, that it forgot.
    """

    changed: int
    touched: int
    forgotten: tuple[str, ...] = ()


def merge_rows(connection: Connection, place: Place, rows: pa.Table, now: datetime) -> Merged:
    """Merge rows of one snapshot inside the running transaction. Idempotent.

    `rows` has the record schema plus `row_no` (int64, the position in the snapshot) and
    `text_hash`. Duplicate ids: the highest row wins, a forget before all. The vectors of texts
    that no live row has any more go with them; what a forget leaves on the disk is noted in
    `store.purge`.
    """
    at: dict[str, object] = {"seq": place.seq, "sub": place.sub}
    where = {"system_id": place.system_id, **at}
    connection.register("incoming", rows)
    try:
        connection.execute(_INCOMING).fetchall()
    finally:
        connection.unregister("incoming")
    connection.execute(_WINNERS, where).fetchall()
    counts = connection.execute(
        "SELECT count(*) FILTER (NOT same), count(*) FILTER (same), "
        "count(*) FILTER (NOT same AND old_row_id IS NULL), "
        "count(*) FILTER (NOT same AND old_row_id IS NOT NULL AND state = 'forgotten'), "
        "list(memory_id ORDER BY memory_id) FILTER (state = 'forgotten'), "
        "(SELECT count(*) FROM incoming_rows) FROM winners"
    ).fetchall()
    changed, touched, new, taken, forgotten, came = counts[0]
    if came > changed + touched:
        earlier.keep_late(connection, place, now)
    if touched:
        connection.execute(_TOUCH, at).fetchall()
    if changed > new:
        earlier.keep_changed(connection)
    if changed:
        numbers = {
            "first_row": next_numbers(connection, "row_id", new),
            "first_change": next_numbers(connection, "change_no", changed),
            "now": now,
        }
        connection.execute(_CHANGES, {**where, **numbers}).fetchall()
        if changed > new:
            connection.execute(_UPDATE).fetchall()
            connection.execute(_DELETE).fetchall()
        connection.execute(_INSERT).fetchall()
        if changed > new:
            connection.execute(_VANISHED).fetchall()
            vanished.drop(connection)
    if taken:
        purge.ask(connection)
        journal_texts.scrub(connection, place.system_id, set(forgotten))
        versions.remove(connection, place.system_id, forgotten)
    return Merged(changed, touched, tuple(forgotten or ()))
