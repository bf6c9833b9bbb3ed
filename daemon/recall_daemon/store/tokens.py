"""Tokens: who may ask for what. Of a secret only its sha256 is here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from recall_daemon.store.store import Connection

Role = Literal["instance", "reader", "admin"]

_COLUMNS = (
    "token_id, name, role, system_id, systems, projects, secret_sha256, created_at, expires_at, "
    "revoked_at, agent_id, user_id"
)


@dataclass(frozen=True)
class TokenRow:
    """`system_id` is the one system an instance may write; None in `systems`, `projects`: all.

    `agent_id`, `user_id`: it speaks for those alone; None: for whomever its holder says.
    """

    token_id: str
    name: str
    role: Role
    system_id: str | None
    systems: tuple[str, ...] | None
    projects: tuple[str, ...] | None
    secret_sha256: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    agent_id: str | None = None
    user_id: str | None = None


def put(connection: Connection, row: TokenRow) -> None:
    """Write a token, replacing the one with its id."""
    connection.execute(
        f"INSERT OR REPLACE INTO tokens ({_COLUMNS}) VALUES ({', '.join('?' * 12)})",
        [
            *(row.token_id, row.name, row.role, row.system_id),
            None if row.systems is None else list(row.systems),
            None if row.projects is None else list(row.projects),
            *(row.secret_sha256, row.created_at, row.expires_at, row.revoked_at),
            *(row.agent_id, row.user_id),
        ],
    )


def revoke(connection: Connection, token_id: str, now: datetime) -> None:
    """Idempotent: the first time counts."""
    connection.execute(
        "UPDATE tokens SET revoked_at = coalesce(revoked_at, ?) WHERE token_id = ?",
        [now, token_id],
    )


def every(connection: Connection) -> list[TokenRow]:
    """All there ever were, oldest first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM tokens ORDER BY created_at, token_id"
    ).fetchall()
    return [_row(row) for row in rows]


def _row(row: tuple[Any, ...]) -> TokenRow:
    values: list[Any] = [tuple(item) if isinstance(item, list) else item for item in row]
    return TokenRow(*values)
