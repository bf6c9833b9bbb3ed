"""The queue of conflicts page by page, with cursors that are safe to pass around."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import datetime
from typing import Any, Literal

from recall_daemon.agents.actor import Actor
from recall_daemon.agents.review import Place, Review
from recall_daemon.errors import AgentInvalid
from recall_daemon.iso_time import in_utc
from recall_daemon.store.conflicts import State

Json = dict[str, Any]
Asked = State | Literal["all"]

LIMIT = 20


def conflict_page(
    review: Review, actor: Actor, state: Asked, limit: int = LIMIT, cursor: str | None = None
) -> Json:
    """`{conflicts, next_cursor}`, the oldest first. Raises `AgentInvalid`. Read-only."""
    wanted: State | None = None if state == "all" else state
    after = None if cursor is None else _place(cursor)
    found, last = review.conflicts(actor, wanted, limit, after)
    return {"conflicts": found, "next_cursor": None if last is None else _cursor(last)}


def _cursor(place: Place) -> str:
    said = json.dumps([place.detected_at.isoformat(), place.conflict_id])
    return base64.urlsafe_b64encode(said.encode()).decode().rstrip("=")


def _place(cursor: str) -> Place:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        moment, conflict_id = json.loads(base64.b64decode(padded, b"-_", validate=True))
        found: datetime | None = in_utc(moment)
        if found is None or not isinstance(conflict_id, str):
            raise ValueError("no place")
        return Place(found, conflict_id.encode("utf-8", "replace").decode())
    except (ValueError, TypeError, OverflowError, binascii.Error) as error:
        raise AgentInvalid(
            "the cursor is not one that this list gave", hint="begin without a cursor"
        ) from error
