"""The cursors of lists of memories, newest first."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import UTC

from recall_daemon.iso_time import in_utc
from recall_daemon.search.query import QueryInvalid
from recall_daemon.store.showing import Mark, Memory

CURSOR_MAX_CHARS = 4_000


def cursor_of(memory: Memory) -> str:
    """Where a list goes on after this memory."""
    at = None if memory.created_at is None else memory.created_at.astimezone(UTC).isoformat()
    said = [at, memory.system_id, memory.memory_id]
    return base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")


def mark_of(cursor: str) -> Mark:
    """The place that a cursor names. Raises `QueryInvalid`."""
    try:
        if len(cursor) > CURSOR_MAX_CHARS:
            raise ValueError("too long")
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        at, system_id, memory_id = json.loads(base64.b64decode(padded, b"-_", validate=True))
        if not isinstance(system_id, str) or not isinstance(memory_id, str):
            raise ValueError("no name")
        f"{system_id}{memory_id}".encode()
        return Mark(None if at is None else in_utc(at), system_id, memory_id)
    except (ValueError, TypeError, OverflowError, RecursionError, binascii.Error) as error:
        raise QueryInvalid(
            "the cursor is not one that this list gave", hint="begin without a cursor"
        ) from error
