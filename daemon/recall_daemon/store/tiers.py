"""Moving rows down the tiers, and what each tier holds.

A move changes no content: change numbers and content hashes stay, no index has to hear of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recall_daemon.store import vectors
from recall_daemon.store.store import Connection

# Since when a row ages: its event's time or its first merge, whichever is later. A time in the
# future is age 0, until it is past.
_ANCHOR = "greatest(coalesce(created_at, merged_at), merged_at)"

# CASE, since AND promises no order, and what is no JSON must not be read as JSON.
PINNED_SQL = """(coalesce(list_contains(tags, 'pinned'), false)
    OR CASE WHEN contains(metadata, '"pinned"') AND json_valid(metadata)
       THEN coalesce(json_extract_string(metadata, '$.pinned') = 'true', false) ELSE false END)"""

_DUE = f"""
FROM memories
WHERE state = 'live' AND tier = $tier AND {_ANCHOR} <= $before
  AND coalesce(importance < $keep_importance, true) AND NOT {PINNED_SQL}
"""

# The text of a cold row is far away: whoever still has to embed it shall have it before.
_IS_EMBEDDED = """
  AND ($space_id IS NULL OR text_hash IS NULL OR text_hash IN (
      SELECT text_hash FROM passages
      WHERE space_id = $space_id AND passage = 0 AND passages IS NOT NULL))
"""


@dataclass(frozen=True)
class Due:
    """Rows that may move down, sorted so that neighbours in a session lie together.

    `row_ids` int64 and `far_bytes` int64 (of text and metadata), both of shape (n,).
    """

    row_ids: NDArray[np.int64]
    far_bytes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.row_ids)


def due(
    connection: Connection,
    tier: str,
    before: datetime,
    *,
    keep_importance: float,
    space_id: str | None = None,
) -> Due:
    """The rows of a tier that age since `before` or longer, and are neither pinned nor important.

    With a `space_id`, only those whose text has its passages there.
    """
    wanted = {"tier": tier, "before": before, "keep_importance": keep_importance}
    table = connection.sql(
        "SELECT row_id, "
        "       (coalesce(strlen(text), 0) + coalesce(strlen(metadata), 0))::BIGINT AS bytes "
        f"{_DUE} {_IS_EMBEDDED} ORDER BY system_id, session_id, created_at, row_id",
        params={**wanted, "space_id": space_id},
    ).to_arrow_table()
    return Due(table["row_id"].to_numpy(), table["bytes"].to_numpy())


def in_future(connection: Connection, now: datetime) -> int:
    """How many rows have an event time that is yet to come; they stay hot until it has."""
    rows = connection.execute(
        "SELECT count(*) FROM memories WHERE state = 'live' AND created_at > ?", [now]
    ).fetchall()
    return int(rows[0][0])


def hot_texts(connection: Connection, row_ids: Sequence[int]) -> pa.Table:
    """row_id, content_hash, text_hash and text of the hot rows among `row_ids`."""
    return connection.sql(
        "SELECT row_id, content_hash, text_hash, text FROM memories "
        "WHERE state = 'live' AND tier = 'hot' AND row_id IN (SELECT unnest(?::BIGINT[]))",
        params=[list(row_ids)],
    ).to_arrow_table()


def make_warm(connection: Connection, rows: pa.Table) -> int:
    """Turn hot rows warm inside the running transaction; returns how many. Idempotent.

    `rows` has row_id, content_hash, text_hash and summary. A row that has changed since is left
    alone. Vectors of texts that no hot row has any more become codes.
    """
    connection.register("aged", rows)
    try:
        done = connection.execute(
            "UPDATE store.memories SET tier = 'warm', summary = aged.summary FROM aged "
            "WHERE memories.row_id = aged.row_id AND memories.content_hash = aged.content_hash "
            "AND memories.state = 'live' AND memories.tier = 'hot'"
        ).fetchall()
    finally:
        connection.unregister("aged")
    code_texts(connection, [name for name in rows["text_hash"].to_pylist() if name is not None])
    return int(done[0][0])


def code_left_over(connection: Connection, limit: int) -> int:
    """Code at most `limit` texts whose last hot row was changed or deleted while a colder one
    stayed, inside the running transaction; returns how many passages."""
    rows = connection.execute(
        "SELECT DISTINCT text_hash FROM passages WHERE vector IS NOT NULL AND text_hash NOT IN ("
        "    SELECT text_hash FROM memories "
        "    WHERE state = 'live' AND tier = 'hot' AND text_hash IS NOT NULL"
        ") LIMIT ?",
        [limit],
    ).fetchall()
    return code_texts(connection, [row[0] for row in rows])


def code_texts(connection: Connection, text_hashes: Sequence[str]) -> int:
    """Code the vectors of those texts that no live hot row has, inside the running transaction.

    Returns how many passages. Idempotent: the codes of a code are the same.
    """
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE to_code AS SELECT DISTINCT unnest(?::VARCHAR[]) AS text_hash",
        [list(text_hashes)],
    ).fetchall()
    connection.execute(
        "DELETE FROM to_code WHERE text_hash IN (SELECT text_hash FROM store.memories "
        "WHERE state = 'live' AND tier = 'hot' AND text_hash IS NOT NULL)"
    ).fetchall()
    spaces = connection.execute(
        "SELECT DISTINCT space_id FROM store.passages "
        "WHERE vector IS NOT NULL AND text_hash IN (SELECT text_hash FROM to_code)"
    ).fetchall()
    return sum(_code_space(connection, row[0]) for row in spaces)


_OF_SPACE = (
    "store.passages WHERE space_id = ? AND vector IS NOT NULL "
    "AND text_hash IN (SELECT text_hash FROM to_code)"
)


def _code_space(connection: Connection, space_id: str) -> int:
    """A list cannot be updated in place, so the rows are written anew, in the same order."""
    rows = connection.sql(
        f"SELECT * FROM {_OF_SPACE} ORDER BY change_no", params=[space_id]
    ).to_arrow_table()
    flat = rows["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    codes, scales = vectors.quantised(flat.reshape(rows.num_rows, -1))
    lists = pa.FixedSizeListArray.from_arrays(pa.array(codes.ravel()), codes.shape[1])
    coded = rows.drop_columns(["vector", "code", "scale"])
    coded = coded.append_column("code", lists).append_column("scale", pa.array(scales))
    connection.execute(f"DELETE FROM {_OF_SPACE}", [space_id]).fetchall()
    connection.register("coded", coded)
    try:
        connection.execute("INSERT INTO store.passages BY NAME SELECT * FROM coded").fetchall()
    finally:
        connection.unregister("coded")
    return int(rows.num_rows)


_HELD = f"""
SELECT tier, count(*), coalesce(sum(strlen(text)), 0)::BIGINT,
       coalesce(sum(strlen(summary)), 0)::BIGINT, min({_ANCHOR}), max({_ANCHOR})
FROM memories WHERE state = 'live' GROUP BY tier
"""

# A text belongs to the hottest of its rows.
_VECTORS_HELD = """
WITH texts AS (
    SELECT text_hash, min(CASE tier WHEN 'hot' THEN 0 WHEN 'warm' THEN 1 ELSE 2 END) AS depth
    FROM memories WHERE state = 'live' AND text_hash IS NOT NULL GROUP BY text_hash
)
SELECT depth, sum(CASE WHEN code IS NULL THEN 4 * len(vector) ELSE len(code) + 4 END)::BIGINT
FROM passages JOIN texts USING (text_hash) GROUP BY depth
"""

TIERS = ("hot", "warm", "cold")


def held(connection: Connection, now: datetime) -> list[dict[str, Any]]:
    """Each tier: rows, bytes of texts, summaries and vectors, ages in seconds. Reads every text."""
    rows = {row[0]: row[1:] for row in connection.execute(_HELD).fetchall()}
    vector_bytes = dict(connection.execute(_VECTORS_HELD).fetchall())
    return [
        _held(tier, rows.get(tier, (0, 0, 0, None, None)), vector_bytes.get(depth, 0), now)
        for depth, tier in enumerate(TIERS)
    ]


def _held(tier: str, row: tuple[Any, ...], vector_bytes: int, now: datetime) -> dict[str, Any]:
    count, text_bytes, summary_bytes, oldest, newest = row
    return {
        "tier": tier,
        "rows": count,
        "bytes": text_bytes + summary_bytes + vector_bytes,
        "text_bytes": text_bytes,
        "summary_bytes": summary_bytes,
        "vector_bytes": vector_bytes,
        "oldest_age_s": _age_s(oldest, now),
        "newest_age_s": _age_s(newest, now),
    }


def _age_s(anchor: datetime | None, now: datetime) -> float | None:
    return None if anchor is None else max((now - anchor).total_seconds(), 0.0)
