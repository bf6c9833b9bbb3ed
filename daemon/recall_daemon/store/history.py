"""What the audit log has on one memory."""

from __future__ import annotations

import json
from typing import Any

from recall_daemon.store.audit_log import AuditEntry
from recall_daemon.store.store import Connection

# A request that named more memories than this noted only the first of them.
ACTS_MAX = 50


def acts_on(connection: Connection, system_id: str, memory_id: str) -> list[AuditEntry]:
    """The newest acts that name the memory, at most `ACTS_MAX`, newest first."""
    quoted = json.dumps(memory_id, ensure_ascii=False)
    rows = connection.execute(
        "SELECT entry_no, happened_at, actor, action, system_id, body, hash FROM audit_log "
        "WHERE system_id = ? AND contains(body, ?) ORDER BY entry_no DESC LIMIT ?",
        [system_id, quoted, ACTS_MAX],
    ).fetchall()
    found = [AuditEntry(*row) for row in rows]
    return [entry for entry in found if memory_id in _named(json.loads(entry.body))]


def _named(body: dict[str, Any]) -> list[Any]:
    """The memories that an act says it was about."""
    return [*body.get("ids", ()), body.get("id"), body.get("memory_id")]
