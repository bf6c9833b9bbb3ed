"""Memories with all their fields: one by its name, some by row id, the newest."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, NamedTuple

from recall_daemon.index.filters import Filters
from recall_daemon.index.seen import Seen
from recall_daemon.store import seen as sight
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


# Fewer are all sorted as fast.
MANY_ROWS = 50_000
_ROOM = 8

_COLUMNS = ", ".join(field.name for field in fields(Memory))
_SHORT = {"text": "left(text, ?)", "metadata": "NULL::VARCHAR"}
_BRIEF_COLUMNS = ", ".join(_SHORT.get(field.name, field.name) for field in fields(Memory))
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
    connection: Connection,
    system_id: str,
    memory_id: str,
    projects: Collection[str] | None = None,
    seen: Seen | None = None,
) -> int | None:
    """The row of the live memory of that name, if it is of one of the projects; None: of any.

    And where `seen` lets it pass; None: all.
    """
    where = "" if projects is None else "AND list_contains(?::VARCHAR[], project)"
    may_be_seen, values = sight.condition(seen)
    rows = connection.execute(
        "SELECT row_id FROM memories "
        f"WHERE memory_id = ? AND system_id = ? AND state = 'live' {where} AND {may_be_seen}",
        [memory_id, system_id, *([] if projects is None else [list(projects)]), *values],
    ).fetchall()
    return int(rows[0][0]) if rows else None


def by_row_ids(
    connection: Connection, row_ids: Sequence[int], *, text_chars: int | None = None
) -> list[Memory]:
    """The live rows among a few hundred, in their order.

    `text_chars`: that much of each text at most, and no metadata.
    """
    if not row_ids:
        return []
    columns = _COLUMNS if text_chars is None else _BRIEF_COLUMNS
    rows = connection.execute(
        f"SELECT {columns} FROM memories "
        f"WHERE state = 'live' AND row_id IN ({', '.join('?' * len(row_ids))})",
        [*([] if text_chars is None else [text_chars]), *row_ids],
    ).fetchall()
    found = {row[0]: Memory(*row) for row in rows}
    return [found[row_id] for row_id in row_ids if row_id in found]


def by_names(connection: Connection, names: Sequence[tuple[str, str]]) -> list[Memory]:
    """The live memories among a few hundred (system_id, memory_id), in no order."""
    if not names:
        return []
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM memories WHERE state = 'live' AND memory_id IN "
        f"({', '.join('?' * len(names))})",
        [memory_id for _, memory_id in names],
    ).fetchall()
    wanted = set(names)
    found = [Memory(*row) for row in rows]
    return [one for one in found if (one.system_id, one.memory_id) in wanted]


def changed_since(connection: Connection, change_no: int, most: int) -> list[int] | None:
    """The rows of a later change, live or not; None where there are more than `most`."""
    rows = connection.execute(
        "SELECT row_id FROM memories WHERE change_no > ? LIMIT ?", [change_no, most + 1]
    ).fetchall()
    return None if len(rows) > most else [int(row[0]) for row in rows]


def newest(
    connection: Connection,
    filters: Filters,
    after: Mark | None,
    limit: int,
    *,
    text_chars: int | None = None,
) -> list[Memory]:
    """The live rows that pass and come after the mark, at most `limit`.

    Newest first, those without a time last; of one time by system and id. `text_chars`: see
    `by_row_ids`.
    """
    if filters.rows is not None and not len(filters.rows):
        return []
    where, values = passing(filters)
    until = filters.until
    if after is not None:
        more, marked = _after(after)
        where, values, until = f"{where} AND {more}", [*values, *marked], after.created_at
    narrowing = (*_COLUMN_OF, "tags", "seen", "every_tag", "rows")
    is_narrow = any(getattr(filters, name) for name in narrowing)
    is_timeless = after is not None and until is None
    window = None if is_narrow or is_timeless else _window(connection, until, limit)
    found: list[int] = []
    if window is not None:
        bounded = f"{where} AND created_at BETWEEN ? AND ?"
        found = _row_ids(connection, bounded, [*values, *window], limit)
    if len(found) < limit:
        found = _row_ids(connection, where, values, limit)
    # In two steps: the wide columns of a few rows alone are read.
    return by_row_ids(connection, found, text_chars=text_chars)


def _row_ids(connection: Connection, where: str, values: Sequence[Any], limit: int) -> list[int]:
    rows = connection.execute(
        f"SELECT row_id FROM memories WHERE {where} "
        "ORDER BY created_at DESC NULLS LAST, system_id, memory_id LIMIT ?",
        [*values, limit],
    ).fetchall()
    return [int(row[0]) for row in rows]


def _window(
    connection: Connection, until: datetime | None, limit: int
) -> tuple[datetime, datetime] | None:
    """A time before `until` in which the newest rows probably are: if `limit` are there, they are.

    `_ROOM` times as long as it would be if all rows were equally apart. To sort by what 1,000,000
    rows hold takes three times as long as to see that their time is out of bounds.
    """
    rows, first, last = connection.execute(
        "SELECT count(*), min(created_at), max(created_at) FROM memories"
    ).fetchall()[0]
    if first is None or rows < MANY_ROWS:
        return None
    end = last if until is None else min(until, last)
    length = (last - first) / rows * limit * _ROOM
    return (end - length, end) if end - first > length else None


def passing(filters: Filters) -> tuple[str, list[Any]]:
    """SQL that is true of the live rows of `memories` that pass, and its values."""
    clauses, values = ["state = 'live'"], list[Any]()
    for name, column in _COLUMN_OF.items():
        allowed = getattr(filters, name)
        if allowed:
            clauses.append(f"{column} IN ({', '.join('?' * len(allowed))})")
            values += allowed
    if filters.tags:
        clauses.append("list_has_any(tags, ?::VARCHAR[])")
        values.append(list(filters.tags))
    if filters.seen is not None:
        may_be_seen, of = sight.condition(filters.seen)
        clauses.append(may_be_seen)
        values += of
    if filters.every_tag:
        clauses.append("list_has_all(tags, ?::VARCHAR[])")
        values.append(list(filters.every_tag))
    if filters.rows is not None:
        clauses.append("row_id IN (SELECT unnest(?::BIGINT[]))")
        values.append(filters.rows.array.tolist())
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
