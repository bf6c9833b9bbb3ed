"""The fields of a row that it can be filtered by, as a hit shows them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class RowFields:
    system_id: str
    kind: str
    project: str | None
    session_id: str | None
    agent_id: str | None
    tags: tuple[str, ...]
    created_at: datetime | None


def fields_of(rows: pa.Table) -> dict[int, RowFields]:
    """By row id; `rows` has the columns of `Feed.row_changes`."""
    names = ("row_id", "system_id", "kind", "project", "session_id", "agent_id", "tags")
    columns = [rows[name].to_pylist() for name in (*names, "created_at")]
    return {
        row_id: RowFields(system_id, kind, project, session_id, agent_id, tuple(tags or ()), at)
        for row_id, system_id, kind, project, session_id, agent_id, tags, at in zip(
            *columns, strict=True
        )
    }
