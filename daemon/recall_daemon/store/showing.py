"""Memories with all their fields: one by its name, some by row id, the newest."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, NamedTuple

from recall_daemon.index.filters import Filters
from recall_daemon.store.store import Connection


@dataclass(frozen=True)
class Memory:
    """A live row. A cold one has neither text nor metadata here: they are row `cold_row` of file
    `cold_file`."""

    row_id: int
    system_id: str
    memory_id: str
    kind: str
    text: str | None
    created_at: datetime | None
    updated_at: datetime | None
    project: str | None
    namespace: str | None
    session_id: str | None
    agent_id: str | None
    user_id: str | None
    tags: list[str] | None
    importance: float | None
    parent_id: str | None
    metadata: str | None
    content_hash: str
    merged_at: datetime
    seq: int
    sub: int
    tier: str
    summary: str | None
    cold_file: int | None
    cold_row: int | None


class Mark(NamedTuple):
    """A place in the order of `newest`: that of the memory with this time and name."""

    created_at: datetime | None
    system_id: str
    memory_id: str


_COLUMNS = ", ".join(field.name for field in fields(Memory))
_COLUMN_OF = {
    "systems": "system_id",
    "projects": "project",
    "kinds": "kind",
    "sessions": "session_id",
    "agents": "agent_id",
    "users": "user_id",
    "namespaces": "namespace",
}


def row_id_of(
    connection: Connection, system_id: str, memory_id: str, projects: Collection[str] | None = None
) -> int | None:
    """The row of the live memory of that name, if it is of one of the projects; None: of any."""
    where = "" if projects is None else "AND list_contains(?::VARCHAR[], project)"
    rows = connection.execute(
        "SELECT row_id FROM memories "
        f"WHERE memory_id = ? AND system_id = ? AND state = 'live' {where}",
        [memory_id, system_id, *([] if projects is None else [list(projects)])],
    ).fetchall()
    return int(rows[0][0]) if rows else None


def by_row_ids(connection: Connection, row_ids: Sequence[int]) -> list[Memory]:
    """The live rows among a few hundred, in their order."""
    if not row_ids:
        return []
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM memories "
        f"WHERE state = 'live' AND row_id IN ({', '.join('?' * len(row_ids))})",
        list(row_ids),
    ).fetchall()
    found = {row[0]: Memory(*row) for row in rows}
    return [found[row_id] for row_id in row_ids if row_id in found]


def newest(
    connection: Connection, filters: Filters, after: Mark | None, limit: int
) -> list[Memory]:
    """The live rows that pass and come after the mark, at most `limit`.

    Newest first, those without a time last; of one time by system and id.
    """
    where, values = _passing(filters)
    if after is not None:
        more, marked = _after(after)
        where, values = f"{where} AND {more}", [*values, *marked]
    # In two steps: the wide columns of a few rows alone are read.
    rows = connection.execute(
        f"SELECT row_id FROM memories WHERE {where} "
        "ORDER BY created_at DESC NULLS LAST, system_id, memory_id LIMIT ?",
        [*values, limit],
    ).fetchall()
    return by_row_ids(connection, [int(row[0]) for row in rows])


def _passing(filters: Filters) -> tuple[str, list[Any]]:
    clauses, values = ["state = 'live'"], list[Any]()
    for name, column in _COLUMN_OF.items():
        allowed = getattr(filters, name)
        if allowed:
            clauses.append(f"{column} IN ({', '.join('?' * len(allowed))})")
            values += allowed
    if filters.tags:
        clauses.append("list_has_any(tags, ?::VARCHAR[])")
        values.append(list(filters.tags))
    if filters.since is not None:
        clauses.append("created_at >= ?")
        values.append(filters.since)
    if filters.until is not None:
        clauses.append("created_at < ?")
        values.append(filters.until)
    return " AND ".join(clauses), values


def _after(mark: Mark) -> tuple[str, list[Any]]:
    name = [mark.system_id, mark.memory_id]
    if mark.created_at is None:
        return "created_at IS NULL AND (system_id, memory_id) > (?, ?)", name
    return (
        "(created_at < ? OR created_at IS NULL "
        "OR (created_at = ? AND (system_id, memory_id) > (?, ?)))",
        [mark.created_at, mark.created_at, *name],
    )
