"""Sessions of agents."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import datetime

from recall_daemon.store import side_tables, statements
from recall_daemon.store.store import Connection


@dataclass(frozen=True)
class Session:
    """`metadata` is a JSON object as text."""

    session_id: str
    agent_id: str | None
    user_id: str | None
    metadata: str
    created_at: datetime


_COLUMNS = ", ".join(field.name for field in fields(Session))


def find(connection: Connection, session_id: str) -> Session | None:
    rows = statements.run(
        connection,
        f"SELECT {_COLUMNS} FROM store.agent_sessions WHERE session_id = ?",
        [session_id],
    ).fetchall()
    return Session(*rows[0]) if rows else None


def put(connection: Connection, session: Session, now: datetime) -> None:
    side_tables.put(connection, "agent_sessions", [asdict(session)], now)
