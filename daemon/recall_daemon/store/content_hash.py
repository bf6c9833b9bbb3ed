"""`merge.CONTENT_HASH_SQL` of a record, without DuckDB: planning that expression takes longer than
storing a row. A test holds the two together."""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Iterable
from datetime import datetime

from recall_daemon.index.filters import microseconds
from recall_wire.records import Record

_SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
# Hexadecimal digits in capitals, unlike Python's own JSON.
_ESCAPED = str.maketrans({chr(code): f"\\u{code:04X}" for code in range(32)} | _SHORT)


def content_hash(record: Record) -> str:
    """32 hexadecimal digits over the fields of a record that is upserted."""
    values = [
        *(record.kind, record.text, _micros(record.created_at), _micros(record.updated_at)),
        *(record.project, record.namespace, record.session_id, record.agent_id, record.user_id),
        *(_list(record.tags), _millionths(record.importance), record.parent_id, record.metadata),
        record.base_version,
    ]
    return hashlib.sha256(_list(values).encode()).hexdigest()[:32]


def _list(values: Iterable[str | None]) -> str:
    quoted = ("null" if one is None else f'"{one.translate(_ESCAPED)}"' for one in values)
    return f"[{','.join(quoted)}]"


def _micros(moment: datetime | None) -> str | None:
    return None if moment is None else str(microseconds(moment))


def _millionths(importance: float | None) -> str | None:
    """Of the float32 that the store keeps; half of one is rounded up."""
    if importance is None:
        return None
    kept = struct.unpack("f", struct.pack("f", importance))[0]
    return str(math.floor(kept * 1_000_000 + 0.5))
