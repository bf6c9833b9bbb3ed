"""The fields of a row that it can be filtered by, as a hit shows them."""

from __future__ import annotations

from collections.abc import Mapping
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
    user_id: str | None
    tags: tuple[str, ...]
    created_at: datetime | None


def fields_of(rows: pa.Table, versions: Mapping[int, int]) -> dict[int, RowFields]:
    """By row id, of the rows that are of that change_no; in the columns of `Feed.row_changes`."""
    names = (
        *("system_id", "kind", "project", "session_id", "agent_id", "user_id"),
        *("tags", "created_at"),
    )
    own = zip(rows["row_id"].to_pylist(), rows["change_no"].to_pylist(), strict=True)
    columns = zip(*(rows[name].to_pylist() for name in names), strict=True)
    return {
        row_id: RowFields(system, kind, project, session, agent, user, tuple(tags or ()), at)
        for (row_id, change_no), (system, kind, project, session, agent, user, tags, at) in zip(
            own, columns, strict=True
        )
        if versions[row_id] == change_no
    }
