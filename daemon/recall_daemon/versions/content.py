"""What a version says: a record's fields as JSON, its hash, and the version's id."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from recall_daemon.index.filters import microseconds, moment_of
from recall_daemon.store.content_hash import content_hash
from recall_wire.records import Record

TIMES = ("created_at", "updated_at")
FIELDS = (
    *("kind", "text", *TIMES, "project", "namespace", "session_id", "agent_id", "user_id"),
    *("tags", "importance", "parent_id", "metadata"),
)

# The same as `record_json`, of a row of `memories` under the alias m.
_SQL_VALUES = {name: f"epoch_us(m.{name})" for name in TIMES} | {
    "importance": "m.importance::DOUBLE"
}
RECORD_JSON_SQL = (
    "to_json({"
    + ", ".join(f"'{name}': {_SQL_VALUES.get(name, f'm.{name}')}" for name in FIELDS)
    + "})::VARCHAR"
)
# The same as `version_id`, of a row that has no parents.
ROOT_ID_SQL = "substr(sha256(m.content_hash), 1, 32)"


def version_id(parents: Iterable[str], hashed: str) -> str:
    """32 hexadecimal digits over the parents, whatever their order, and the content's hash."""
    said = "\n".join([*sorted(parents), hashed])
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def hash_of(record: Record) -> str:
    """The content's hash: what a writer knew (`base_version`) is not part of what it says."""
    return content_hash(replace(record, base_version=None))


def root_id(record: Record) -> str:
    """The version of a record that says nothing of what came before."""
    return version_id((), hash_of(record))


def record_json(record: Record) -> str:
    """A version's content; the identity is the version's own."""
    values: dict[str, Any] = {name: getattr(record, name) for name in FIELDS}
    for name in TIMES:
        values[name] = microseconds(values[name])
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def from_json(memory_id: str, text: str) -> Record:
    """The record of a version's content."""
    values: Mapping[str, Any] = json.loads(text)
    read = {name: values[name] for name in FIELDS if values.get(name) is not None}
    for name in TIMES:
        if name in read:
            read[name] = moment_of(read[name])
    return Record(memory_id, **{**read, "tags": tuple(read.get("tags", ()))})


def as_kept(record: Record) -> Record:
    """The content alone, with the numbers that the store keeps."""
    importance = record.importance
    if importance is not None:
        importance = struct.unpack("f", struct.pack("f", importance))[0]
    return replace(
        record,
        op="upsert",
        base_version=None,
        target_system=None,
        embedding=None,
        importance=importance,
    )
