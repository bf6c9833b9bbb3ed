"""Whose memories may be seen, as a condition on rows of `memories`."""

from __future__ import annotations

from typing import Any

from recall_daemon.index.seen import Mark, Seen

_HAS_ONE = "coalesce(list_has_any(tags, ?::VARCHAR[]), false)"


def condition(seen: Seen | None) -> tuple[str, list[Any]]:
    """SQL that is true of the rows that pass, and its values; see `Seen`. None: of all."""
    if seen is None:
        return "true", []
    parts, values = ["(user_id IS NULL OR user_id IS NOT DISTINCT FROM ?)"], list[Any]([seen.user])
    if seen.denied:
        parts.append(f"NOT {_HAS_ONE}")
        values.append(list(seen.denied))
    if seen.agent is not None:
        held, of = ["agent_id = ?"], list[Any]([seen.agent])
        if len(seen.shared):
            held.append("row_id IN (SELECT unnest(?::BIGINT[]))")
            of.append(seen.shared.array.tolist())
        for mark in seen.marks:
            marked, with_values = _marked(mark)
            held.append(marked)
            of += with_values
        parts.append(f"({' OR '.join(held)})")
        values += of
    return " AND ".join(parts), values


def _marked(mark: Mark) -> tuple[str, list[Any]]:
    parts, values = [_HAS_ONE], list[Any]([list(mark.tags)])
    if mark.also:
        parts.append(_HAS_ONE)
        values.append(list(mark.also))
    if mark.agent is not None:
        parts.append("agent_id = ?")
        values.append(mark.agent)
    return f"({' AND '.join(parts)})", values
