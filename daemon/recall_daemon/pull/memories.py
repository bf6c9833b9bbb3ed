"""A memory as an instance gives it, as the hub's record."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from recall_daemon.errors import MemoryInvalid
from recall_daemon.memory.incoming import pushed_memory
from recall_wire.formats.values import to_time
from recall_wire.records import KINDS, Record

Json = dict[str, Any]

INGESTION_METHOD = "http_pull"

_IDS = ("memory_id", "id", "original_id", "uuid")
_CREATED = ("created_at", "timestamp", "created", "date")
_TEXTS = ("text", "content", "summary", "reflection")
# What a search says of a hit, not a memory of itself; and counters, which change by being read.
_OF_THE_SEARCH = frozenset(
    {
        *("score", "similarity", "relevance", "relevance_score", "distance", "rank", "_cached"),
        *("access_count", "accessed_at", "last_accessed", "last_accessed_at", "usage_count"),
        *("embedding", "embeddings", "vector"),
    }
)


@dataclass
class Read:
    """Records, the last of each id, and `(id, sentence)` of each memory that is none."""

    records: dict[str, Record] = field(default_factory=dict)
    errors: list[tuple[str | None, str]] = field(default_factory=list)


def read_memories(memories: Sequence[Json], url: str, *, now: datetime) -> Read:
    """A memory that cannot be a record is an error, and the others go on."""
    read = Read()
    for memory in memories:
        try:
            record = read_memory(memory, url, now=now)
        except MemoryInvalid as error:
            read.errors.append((told_id(memory), str(error)))
            continue
        if read.records.setdefault(record.memory_id, record) != record:
            read.errors.append((record.memory_id, "it is there twice with different content"))
            read.records[record.memory_id] = record
    return read


def read_memory(memory: Mapping[str, Any], url: str, *, now: datetime) -> Record:
    """The record of a memory. Raises `MemoryInvalid`.

    Text: `text`, else `content`, `summary`, `reflection`, else `query` and `response`. Without an
    id of its own, that is a hash of text and time, so that asking again finds the same. It is of
    its instance's system, whatever it says, and never deletes one.
    """
    text, created_at = _text(memory), _first(memory, _CREATED)
    memory_id = told_id(memory) or _made_id(text, created_at)
    metadata = _metadata(memory, url, created_at)
    record = pushed_memory(memory_id, text, None, metadata, now=now, method=INGESTION_METHOD)
    # `now` stands for a time that it does not say, and would be another one each time.
    return replace(record, created_at=None) if record.created_at == now else record


def told_id(memory: Mapping[str, Any]) -> str | None:
    """The instance's own id of it."""
    value = _first(memory, _IDS)
    is_one = isinstance(value, str) or (type(value) is int and abs(value) < 1 << 63)
    return str(value) if is_one else None


def time_of(memory: Mapping[str, Any]) -> datetime | None:
    """When it last changed, as far as it says."""
    for name in ("updated_at", *_CREATED):
        value = memory.get(name)
        is_one = isinstance(value, str | float) or (type(value) is int and abs(value) < 1 << 63)
        moment = to_time(value, UTC) if is_one else None
        if moment is not None:
            return moment
    return None


def newest(memories: Sequence[Json], since: datetime) -> list[Json]:
    """Those of `since` and later, the newest first, and after them those without a time."""
    timed = [(time_of(memory), memory) for memory in memories]
    late = [(when, memory) for when, memory in timed if when is not None and when >= since]
    late.sort(key=lambda one: one[0], reverse=True)
    return [memory for _, memory in late] + [memory for when, memory in timed if when is None]


def _first(memory: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((memory[name] for name in names if memory.get(name) not in (None, "")), None)


def _text(memory: Mapping[str, Any]) -> object:
    text = _first(memory, _TEXTS)
    if text is None and "query" in memory and "response" in memory:
        return f"{memory['query']}\n\n{memory['response']}"
    return text


def _made_id(text: object, created_at: object) -> str:
    said = json.dumps([str(text), str(created_at)])
    return f"pull:{hashlib.blake2b(said.encode(), digest_size=16).hexdigest()}"


def _metadata(memory: Mapping[str, Any], url: str, created_at: object) -> Json:
    """All it says beside its id and text, and where it is from."""
    left_out = {*_IDS, *_OF_THE_SEARCH, "metadata"}
    text_of = next((name for name in _TEXTS if memory.get(name)), None)
    inner = memory.get("metadata")
    told = {**inner} if isinstance(inner, Mapping) else {}
    told |= {k: v for k, v in memory.items() if k not in left_out and k != text_of}
    if memory.get("type") in KINDS:
        told.setdefault("kind", memory["type"])
    if created_at is not None:
        told["created_at"] = created_at
    return {"source": url, **told}
