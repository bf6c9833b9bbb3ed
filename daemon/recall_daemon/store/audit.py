"""The logical hash, and the checks of the store against itself that `recalld verify` runs."""

from __future__ import annotations

import hashlib

import pyarrow as pa

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
        WHERE state = 'live' AND tier <> 'cold' AND content_hash <> {CONTENT_HASH_SQL}""",
    "cold rows without a cold file, or with text beside it": """
        SELECT count(*) FROM memories m LEFT JOIN cold_files c ON c.file_no = m.cold_file
        WHERE (m.tier = 'cold') <> (m.cold_file IS NOT NULL)
           OR (m.tier = 'cold' AND (c.file_no IS NULL OR c.retired_at IS NOT NULL
                                    OR m.text IS NOT NULL OR m.metadata IS NOT NULL
                                    OR coalesce(m.cold_row NOT BETWEEN 0 AND c.rows - 1, true)))""",
    "cold rows that name the text of another row": """
        SELECT count(*) - count(DISTINCT (cold_file, cold_row)) FROM memories
        WHERE cold_file IS NOT NULL""",
    "rows of no tier": """
        SELECT count(*) FROM memories WHERE coalesce(tier NOT IN ('hot', 'warm', 'cold'), true)""",
    "passages given twice": """
        SELECT count(*) - count(DISTINCT (space_id, text_hash, passage)) FROM passages""",
    "texts of which passages are missing": """
        SELECT count(*) FROM (
            SELECT 1 FROM passages GROUP BY space_id, text_hash
            HAVING max(passage) <> count(*) - 1 OR min(coalesce(passages, 1)) <> count(*)
                OR max(coalesce(passages, 1)) <> count(*))""",
    "passages with both a vector and a code, or none": """
        SELECT count(*) FROM passages WHERE (vector IS NULL) = (code IS NULL)
        OR (code IS NULL) <> (scale IS NULL)""",
    "deleted rows that still hold text": """
        SELECT count(*) FROM memories WHERE state <> 'live'
          AND (text IS NOT NULL OR summary IS NOT NULL OR metadata IS NOT NULL)""",
    "rows without an entry in the ledger": """
        SELECT count(*) FROM memories m ANTI JOIN snapshots s
        ON s.system_id = m.system_id AND s.seq = m.seq AND s.sub = m.sub""",
    "rows that their snapshot cannot have brought": """
        SELECT count(*) FROM memories m JOIN snapshots s
        ON s.system_id = m.system_id AND s.seq = m.seq AND s.sub = m.sub
        WHERE s.state = 'merged' AND m.row_no >= s.rows_done""",
    "rows of systems that are not known": """
        SELECT count(*) FROM memories ANTI JOIN systems USING (system_id)""",
    "merged snapshots with rows left to merge": """
        SELECT count(*) FROM snapshots WHERE state = 'merged' AND rows_done < rows + deletes""",
    "rows with one number": """
        SELECT count(*) - count(DISTINCT row_id) FROM memories""",
    "rows or cold files beyond the last number given out": """
        SELECT count(*) FROM (SELECT 'row_id' AS name, row_id AS number FROM memories
                              UNION ALL SELECT 'cold_file', file_no FROM cold_files)
        JOIN counters USING (name) WHERE number > value""",
    "rows or vectors beyond the last change number": """
        SELECT count(*) FROM (SELECT change_no FROM memories UNION ALL
                              SELECT change_no FROM passages)
        WHERE change_no > (SELECT value FROM counters WHERE name = 'change_no')""",
    "vectors of texts that no live row has": """
        SELECT count(*) FROM passages WHERE text_hash NOT IN (
            SELECT text_hash FROM memories WHERE state = 'live' AND text_hash IS NOT NULL)
          AND text_hash NOT IN (SELECT text_hash FROM vanished_texts)""",
    "vectors of another length than their space's": """
        SELECT count(*) FROM passages
        WHERE coalesce(len(vector), len(code))
              <> try_cast(regexp_extract(space_id, ':(\\d+)(:raw)?$', 1) AS BIGINT)""",
}


def problems(connection: Connection) -> list[str]:
    """One sentence for each check that fails; empty when the store agrees with itself."""
    found = []
    for what, sql in _CHECKS.items():
        count = connection.execute(sql).fetchall()[0][0]
        if count:
            found.append(f"{count} {what}")
    return found


def last_change(connection: Connection) -> int:
    """The number of the last change that was committed."""
    rows = connection.execute("SELECT value FROM counters WHERE name = 'change_no'").fetchall()
    return int(rows[0][0])


# Rows are compared where the store has not changed them since: what is newer than `upto` may be in
# the index or not.
_HELD_ROWS = """
SELECT count(*) FILTER (h.row_id IS NULL AND m.state = 'live' AND m.change_no <= $upto),
       count(*) FILTER (
           m.state = 'live' AND m.change_no <= $upto AND h.change_no <> m.change_no),
       count(*) FILTER (
           h.row_id IS NOT NULL
           AND (m.row_id IS NULL OR (m.state <> 'live' AND m.change_no <= $upto)))
FROM held h FULL JOIN memories m ON m.row_id = h.row_id
"""


def row_problems(connection: Connection, held: pa.Table, upto: int) -> list[str]:
    """One sentence for each way in which an index has other rows than the store.

    `held` has row_id and change_no of each row of the index, taken after it was brought to `upto`
    and before this is called. Rows that change meanwhile are no problem.
    """
    connection.register("held", held)
    try:
        counts = connection.execute(_HELD_ROWS, {"upto": upto}).fetchall()[0]
    finally:
        connection.unregister("held")
    said = (
        "the index lacks {} live rows of the store",
        "the index has an outdated version of {} rows",
        "the index has {} rows that are deleted in the store",
    )
    return [words.format(count) for words, count in zip(said, counts, strict=True) if count]


# Texts of which the index has other passages than the store; most are left out on purpose.
_DIFFERING = """
WITH said AS (
    SELECT text_hash, count(*) AS passages, max(change_no) AS change_no
    FROM passages WHERE space_id = $space_id GROUP BY text_hash HAVING max(change_no) <= $upto
)
SELECT s.text_hash, h.passages, h.change_no FROM said s LEFT JOIN held h USING (text_hash)
WHERE (h.passages, h.change_no) IS DISTINCT FROM (s.passages, s.change_no)
  AND s.text_hash IN (SELECT text_hash FROM memories WHERE state = 'live')
"""

# No index can compare a vector with NaN, infinity or a number beyond half floats.
_USABLE = """
WITH usable AS (
    SELECT text_hash, count(*) AS passages, max(change_no) AS change_no
    FROM passages
    WHERE space_id = $space_id AND text_hash IN (SELECT text_hash FROM differing)
      AND coalesce(127 * scale, greatest(list_max(vector), -list_min(vector))) <= $largest
    GROUP BY text_hash
)
SELECT count(*) FILTER (d.passages IS NULL), count(*) FILTER (d.passages IS NOT NULL)
FROM usable u JOIN differing d USING (text_hash)
WHERE (d.passages, d.change_no) IS DISTINCT FROM (u.passages, u.change_no)
"""


def vector_problems(
    connection: Connection, held: pa.Table, space_id: str, upto: int, *, largest: float
) -> list[str]:
    """One sentence for each way in which an index has other vectors of live rows' texts.

    `held` has text_hash, passages (how many) and change_no (the last of them) of each text of the
    index, which leaves out vectors with numbers beyond `largest`; for the rest see `row_problems`.
    """
    connection.register("held", held)
    try:
        differing = connection.sql(
            _DIFFERING, params={"space_id": space_id, "upto": upto}
        ).to_arrow_table()
    finally:
        connection.unregister("held")
    if not differing.num_rows:
        return []
    connection.register("differing", differing)
    try:
        counts = connection.execute(_USABLE, {"space_id": space_id, "largest": largest}).fetchall()
    finally:
        connection.unregister("differing")
    said = (
        "the index lacks the vectors of {} texts",
        "the index has other vectors than the store of {} texts",
    )
    return [words.format(count) for words, count in zip(said, counts[0], strict=True) if count]


def sample(connection: Connection, count: int, upto: int) -> pa.Table:
    """At most `count` live rows with a text that have not changed since `upto`, at random.

    Columns: row_id, system_id, memory_id, text (null where it is far away), text_hash.
    """
    return connection.sql(
        "SELECT row_id, system_id, memory_id, text, text_hash FROM memories "
        "WHERE state = 'live' AND text_hash IS NOT NULL AND change_no <= ? "
        f"USING SAMPLE {int(count)} ROWS (reservoir)",
        params=[upto],
    ).to_arrow_table()
