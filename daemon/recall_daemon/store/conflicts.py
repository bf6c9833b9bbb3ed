"""The conflicts between versions of memories, open and resolved."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Literal

from recall_daemon.agents.config import Strategy
from recall_daemon.store import side_tables, statements
from recall_daemon.store.store import Connection

State = Literal["open", "resolved", "superseded"]


@dataclass(frozen=True)
class Conflict:
    """Two versions that say different things in `fields`; `ours` began first.

    `winner` None: neither alone, or nobody yet. `manual`: only an explicit call resolves it.
    `superseded`: one of its sides has gone on, and another conflict is about that.
    """

    conflict_id: str
    system_id: str
    memory_id: str
    base: str | None
    ours: str
    theirs: str
    fields: tuple[str, ...]
    state: State
    strategy: Strategy
    winner: str | None
    resolution: str | None
    manual: bool
    detected_at: datetime
    resolved_at: datetime | None = None
    resolved_by: str | None = None


_NAMES = tuple(field.name for field in fields(Conflict))
_COLUMNS = ", ".join(_NAMES)


def of_memory(connection: Connection, system_id: str, memory_id: str) -> list[Conflict]:
    """All there ever were about a memory, the oldest first."""
    return _read(
        connection,
        "WHERE memory_id = ? AND system_id = ? ORDER BY detected_at, conflict_id",
        [memory_id, system_id],
    )


def find(connection: Connection, conflict_id: str) -> Conflict | None:
    found = _read(connection, "WHERE conflict_id = ?", [conflict_id])
    return found[0] if found else None


def listed(
    connection: Connection, state: State | None, after: tuple[datetime, str] | None, limit: int
) -> list[Conflict]:
    """In the order in which they were met, after a place in it; `state` None: whatever state."""
    where, values = ["true"], list[object]()
    if state is not None:
        where.append("state = ?")
        values.append(state)
    if after is not None:
        where.append("(detected_at, conflict_id) > (?, ?)")
        values += after
    told = f"WHERE {' AND '.join(where)} ORDER BY detected_at, conflict_id LIMIT ?"
    return _read(connection, told, [*values, limit])


def put(connection: Connection, conflicts: Iterable[Conflict], now: datetime) -> None:
    """Write conflicts, in the running transaction and its journal."""
    rows = [asdict(one) | {"fields": list(one.fields)} for one in conflicts]
    side_tables.put(connection, "conflicts", rows, now)


def _read(connection: Connection, told: str, values: Sequence[object]) -> list[Conflict]:
    rows = statements.run(
        connection, f"SELECT {_COLUMNS} FROM store.conflicts {told}", values
    ).fetchall()
    return [_conflict(dict(zip(_NAMES, row, strict=True))) for row in rows]


def _conflict(values: dict[str, Any]) -> Conflict:
    return Conflict(**{**values, "fields": tuple(values["fields"])})
