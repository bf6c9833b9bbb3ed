"""Rows of the tables beside `memories`, each written with a journal entry that brings it back.

No bucket has a snapshot of them: a restored hub has them from its backup and the bucket's log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from recall_daemon.store import journal, statements
from recall_daemon.store.store import Connection

KIND = "rows"

# Of one journal entry.
ENTRY_ROWS = 500

# The tables that may be written so, with their keys.
KEYS: Mapping[str, tuple[str, ...]] = {
    "lives": ("system_id", "memory_id"),
    "conflicts": ("conflict_id",),
    "deletions": ("deletion_id",),
    "memory_shares": ("share_id",),
    "share_rules": ("rule_id",),
    "agent_sessions": ("session_id",),
    "relationships": ("relationship_id",),
    "context_groups": ("group_id",),
    "group_members": ("group_id", "system_id", "memory_id"),
}

Row = Mapping[str, Any]


def put(connection: Connection, table: str, rows: Sequence[Row], now: datetime) -> None:
    """Insert rows, or replace those of the same keys, in the running transaction.

    Each row has all of the table's columns, all rows in one order.
    """
    for part in _parts(rows):
        _put(connection, table, part)
        said = [plain(row) for row in part]
        journal.append(connection, KIND, {"table": table, "put": said}, now)


def write(connection: Connection, table: str, rows: Sequence[Row]) -> None:
    """As `put`, for who writes a journal entry of their own; few rows."""
    if rows:
        _put(connection, table, rows)


def remove(connection: Connection, table: str, keys: Sequence[Row], now: datetime) -> None:
    """Delete the rows of these keys. Idempotent."""
    for part in _parts(keys):
        _remove(connection, table, part)
        said = [plain(key) for key in part]
        journal.append(connection, KIND, {"table": table, "remove": said}, now)


def replay(connection: Connection, body: Mapping[str, Any]) -> None:
    """Do again what a journal entry says. Idempotent."""
    table = str(body["table"])
    if table not in KEYS:
        raise ValueError(f"a journal entry writes the table {table[:60]!r}, which is none of ours")
    if body.get("put"):
        _put(connection, table, body["put"])
    if body.get("remove"):
        _remove(connection, table, body["remove"])


def _put(connection: Connection, table: str, rows: Sequence[Row]) -> None:
    columns = tuple(rows[0])
    values = [row[name] for row in rows for name in columns]
    statements.run(
        connection,
        f"INSERT OR REPLACE INTO store.{table} ({', '.join(columns)}) "
        f"VALUES {statements.places(len(rows), len(columns))}",
        values,
    )


def _remove(connection: Connection, table: str, keys: Sequence[Row]) -> None:
    names = KEYS[table]
    statements.run(
        connection,
        f"DELETE FROM store.{table} WHERE ({', '.join(names)}) IN "
        f"(VALUES {statements.places(len(keys), len(names))})",
        [key[name] for key in keys for name in names],
    )


def _parts(rows: Sequence[Row]) -> list[Sequence[Row]]:
    return [rows[at : at + ENTRY_ROWS] for at in range(0, len(rows), ENTRY_ROWS)]


def plain(row: Row) -> dict[str, Any]:
    """A row as JSON has it."""
    return {
        name: value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
        for name, value in row.items()
    }
