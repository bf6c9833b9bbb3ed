"""Which memories a forget is about."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from recall_daemon.store.store import Connection

Identity = tuple[str, str]


@dataclass(frozen=True)
class Wanted:
    """What a memory must be; None allows all. `states`: any of them; `upto_row`: the highest row
    id."""

    states: Sequence[str]
    ids: Sequence[Identity] | None = None
    systems: Sequence[str] | None = None
    projects: Sequence[str] | None = None
    since: datetime | None = None
    until: datetime | None = None
    upto_row: int | None = None


@dataclass(frozen=True)
class Row:
    """A memory that is wanted. `text` only where it was asked for, and is in the store.

    `change_no` and `settled_at`: of the change that its present state came with, and when the
    snapshot or the forget that brought it was merged.
    """

    row_id: int
    system_id: str
    memory_id: str
    state: str
    tier: str
    text: str | None
    text_hash: str | None
    change_no: int
    settled_at: datetime | None


def rows(
    connection: Connection,
    wanted: Wanted,
    *,
    after: int,
    upto: int | None = None,
    limit: int,
    with_text: bool = False,
) -> list[Row]:
    """At most `limit` memories with row ids above `after`, up to `upto`, lowest first."""
    where, values = _conditions(wanted)
    found = connection.execute(
        "SELECT row_id, system_id, memory_id, m.state, tier, CASE WHEN $with_text THEN text END, "
        "       text_hash, change_no, settled_at "
        "FROM memories m LEFT JOIN snapshots s USING (system_id, seq, sub) "
        f"WHERE row_id > $after AND row_id <= $upto AND {where} ORDER BY row_id LIMIT $limit",
        values
        | {
            "after": after,
            "upto": last_row(connection) if upto is None else upto,
            "limit": limit,
            "with_text": with_text,
        },
    ).fetchall()
    return [Row(*row) for row in found]


def _conditions(wanted: Wanted) -> tuple[str, dict[str, Any]]:
    """Only what is asked for, so that a few ids go through the index, and its values."""
    told: dict[str, tuple[str, Any]] = {
        "states": ("m.state IN (SELECT unnest($states::VARCHAR[]))", wanted.states),
        "systems": ("system_id IN (SELECT unnest($systems::VARCHAR[]))", wanted.systems),
        "projects": ("project IN (SELECT unnest($projects::VARCHAR[]))", wanted.projects),
        "since": ("m.created_at >= $since", wanted.since),
        "until": ("m.created_at < $until", wanted.until),
        "upto_row": ("row_id <= $upto_row", wanted.upto_row),
    }
    where = [sql for sql, value in told.values() if value is not None]
    values = {name: value for name, (_, value) in told.items() if value is not None}
    if wanted.ids is not None:
        where.append(
            "memory_id IN (SELECT unnest($names::VARCHAR[])) AND (system_id, memory_id) IN ("
            "    SELECT (unnest($owners::VARCHAR[]), unnest($names::VARCHAR[])))"
        )
        values["owners"] = [system_id for system_id, _ in wanted.ids]
        values["names"] = [memory_id for _, memory_id in wanted.ids]
    return " AND ".join(where), values


def last_row(connection: Connection) -> int:
    """The highest row id ever given."""
    rows = connection.execute("SELECT value FROM counters WHERE name = 'row_id'").fetchall()
    return int(rows[0][0])


def named(connection: Connection, memory_ids: Collection[str]) -> list[Identity]:
    """Every memory, of whatever state and system, with one of these ids."""
    found = connection.execute(
        "SELECT system_id, memory_id FROM memories "
        "WHERE memory_id IN (SELECT unnest(?::VARCHAR[])) ORDER BY system_id, memory_id",
        [list(memory_ids)],
    ).fetchall()
    return [(system_id, memory_id) for system_id, memory_id in found]


def saying_the_same(
    connection: Connection,
    text_hashes: Collection[str],
    besides: Collection[int],
    limit: int,
    *,
    systems: Collection[str] | None = None,
) -> tuple[int, list[Identity]]:
    """How many other live memories, of these systems, have one of these texts; the first ones."""
    found = connection.execute(
        "SELECT system_id, memory_id, count(*) OVER () FROM memories WHERE state = 'live' "
        "AND text_hash IN (SELECT unnest(?::VARCHAR[])) "
        "AND row_id NOT IN (SELECT unnest(?::BIGINT[])) "
        "AND (?::VARCHAR[] IS NULL OR list_contains(?::VARCHAR[], system_id)) "
        "ORDER BY row_id LIMIT ?",
        [list(text_hashes), list(besides), *[systems and list(systems)] * 2, limit],
    ).fetchall()
    count = int(found[0][2]) if found else 0
    return count, [(system_id, memory_id) for system_id, memory_id, _ in found]


def forgotten_ids(connection: Connection) -> set[int]:
    """The row ids of everything that was ever forgotten."""
    found = connection.execute("SELECT row_id FROM memories WHERE state = 'forgotten'").fetchall()
    return {int(row[0]) for row in found}


def files_with_dead_rows(connection: Connection) -> list[int]:
    """The cold files, retired ones too, that hold rows which no row needs there any more."""
    found = connection.execute(
        "SELECT c.file_no FROM cold_files c LEFT JOIN ("
        "    SELECT cold_file, count(*) AS live FROM memories "
        "    WHERE state = 'live' AND tier = 'cold' GROUP BY cold_file"
        ") m ON m.cold_file = c.file_no WHERE coalesce(m.live, 0) < c.rows ORDER BY c.file_no"
    ).fetchall()
    return [int(row[0]) for row in found]
