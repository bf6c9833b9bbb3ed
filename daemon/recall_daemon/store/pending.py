"""Texts that wait for their passages: the backlog, derived from rows and passages."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from recall_daemon.index.seen import Seen
from recall_daemon.store import statements
from recall_daemon.store.seen import condition
from recall_daemon.store.store import Connection

# Of a longer text only the beginning is embedded: more than 1,024 overlapping windows of 256 tokens
# reach. One look-up brings no more text than fits into memory twice beside everything else.
EMBEDDED_CHARS = 4 << 20
BACKLOG_BYTES = 64 << 20


@dataclass(frozen=True)
class Pending:
    """A text that waits for its passages.

    `text` is None where no row has it at hand: it is then row `cold_row` of file `cold_file`.
    `given`: its vector came with a snapshot, and only needs to be looked at: one window
    (`confirm`) or more (`put`).
    """

    text_hash: str
    text: str | None
    given: bool = False
    cold_file: int | None = None
    cold_row: int | None = None
    row_id: int = 0


# A text is in the backlog when a live row has it and the space has no passages of it, or only a
# vector that came along and was not looked at: nothing is queued anywhere, so a crash loses
# nothing. A given vector of a cold text stays as it came.
_WAITING = """
open_rows AS (
    SELECT m.rowid AS place, m.text_hash, m.change_no, m.tier = 'cold' AS is_cold
    FROM memories m
    ANTI JOIN passages v ON v.space_id = $space_id AND v.passage = 0 AND v.passages IS NOT NULL
        AND v.text_hash = m.text_hash
    WHERE m.state = 'live' AND m.text_hash IS NOT NULL
      AND m.text_hash NOT IN (SELECT unnest($besides::VARCHAR[]))
), given AS (
    SELECT text_hash FROM passages
    WHERE space_id = $space_id AND passage = 0 AND passages IS NULL
), waiting AS (
    SELECT o.*, g.text_hash IS NOT NULL AS given
    FROM open_rows o LEFT JOIN given g ON g.text_hash = o.text_hash
    WHERE g.text_hash IS NULL OR NOT o.is_cold
)
"""

# Which texts wait is found from their hashes alone; then the texts of just those are read, from a
# row that has it at hand if there is one.
_FIND = f"""
WITH {_WAITING}
SELECT coalesce(min(place) FILTER (NOT is_cold), min(place)), bool_or(given)
FROM waiting GROUP BY text_hash ORDER BY min(change_no) LIMIT $limit
"""

# Of a few changed rows, the texts, which `_SETTLED` then finds by its index.
FEW_CHANGED = 256
_CHANGED = """
SELECT text_hash, coalesce(min(rowid) FILTER (tier <> 'cold'), min(rowid)), bool_and(tier = 'cold')
FROM memories
WHERE change_no > ? AND state = 'live' AND text_hash IS NOT NULL
GROUP BY text_hash ORDER BY min(change_no) LIMIT ?
"""
_SETTLED = """
SELECT text_hash, passages IS NULL AS given FROM passages
WHERE space_id = ? AND passage = 0 AND text_hash IN {}
"""

_LOOK_UP = f"""
WITH wanted AS (
    SELECT unnest($places::BIGINT[]) AS place, unnest($given::BOOLEAN[]) AS given,
           generate_subscripts($places::BIGINT[], 1) AS number
), looked_up AS (
    SELECT number, text_hash, left(text, {EMBEDDED_CHARS}) AS text, given, cold_file, cold_row,
           row_id
    FROM memories JOIN wanted ON memories.rowid = wanted.place
)
SELECT text_hash, text, given, cold_file, cold_row, row_id FROM looked_up
WINDOW earlier AS (ORDER BY number)
QUALIFY row_number() OVER earlier = 1 OR sum(coalesce(strlen(text), 0)) OVER earlier <= $max_bytes
ORDER BY number
"""


def backlog(
    connection: Connection,
    space_id: str,
    limit: int,
    *,
    besides: Collection[str] = (),
    after: int = 0,
) -> list[Pending]:
    """At most `limit` distinct texts that wait for their passages, oldest change first.

    Past the first, at most `BACKLOG_BYTES` of text. Those whose hash is in `besides` are left
    out. Of a text longer than `EMBEDDED_CHARS` the beginning comes back. `after`: nothing waits of
    the rows up to this change, so that they need no look unless many changed since.
    """
    found = _changed(connection, space_id, after, besides) if after else None
    if found is None:
        wanted = {"space_id": space_id, "limit": limit, "besides": list(besides)}
        found = connection.execute(_FIND, wanted).fetchall()
    if not found:
        return []
    places, given = zip(*found, strict=True)
    rows = connection.execute(
        _LOOK_UP, {"places": list(places), "given": list(given), "max_bytes": BACKLOG_BYTES}
    ).fetchall()
    return [Pending(*row) for row in rows]


def _changed(
    connection: Connection, space_id: str, after: int, besides: Collection[str]
) -> list[tuple[int, bool]] | None:
    """As `_FIND`, of the rows that changed after `after`; None where these are many."""
    rows = connection.execute(_CHANGED, [after, FEW_CHANGED + 1]).fetchall()
    if len(rows) > FEW_CHANGED:
        return None
    hashes = [text_hash for text_hash, _, _ in rows]
    settled = _SETTLED.format(statements.places(1, len(hashes)))
    given = dict(connection.execute(settled, [space_id, *hashes]).fetchall()) if hashes else {}
    return [
        (place, text_hash in given)
        for text_hash, place, is_cold in rows
        if text_hash not in besides
        and (text_hash not in given or (given[text_hash] and not is_cold))
    ]


def backlog_size(connection: Connection, space_id: str, *, besides: Collection[str] = ()) -> int:
    """How many distinct texts wait for passages in the space; reads no text."""
    rows = connection.execute(
        f"WITH {_WAITING} SELECT count(DISTINCT text_hash) FROM waiting",
        {"space_id": space_id, "besides": list(besides)},
    ).fetchall()
    return int(rows[0][0])


def backlog_within(
    connection: Connection,
    space_id: str,
    systems: Collection[str] | None,
    projects: Collection[str] | None,
    seen: Seen | None = None,
) -> int:
    """As `backlog_size`, of the texts of some systems and projects; None: of all."""
    passing, values = condition(seen)
    rows = connection.execute(
        f"""
        WITH {_WAITING} SELECT count(DISTINCT text_hash) FROM waiting WHERE text_hash IN (
            SELECT text_hash FROM memories WHERE state = 'live'
            AND ($systems IS NULL OR list_contains($systems::VARCHAR[], system_id))
            AND ($projects IS NULL OR list_contains($projects::VARCHAR[], project))
            AND {_numbered(passing)})
        """,
        {
            "space_id": space_id,
            "besides": [],
            "systems": None if systems is None else list(systems),
            "projects": None if projects is None else list(projects),
            **{f"seen{number}": value for number, value in enumerate(values)},
        },
    ).fetchall()
    return int(rows[0][0])


def _numbered(sql: str) -> str:
    """With names for its values: DuckDB does not take both kinds in one statement."""
    first, *rest = sql.split("?")
    return first + "".join(f"$seen{number}{part}" for number, part in enumerate(rest))
