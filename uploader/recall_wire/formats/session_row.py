"""One row of a Session-Buddy table becomes one record (columns by name, any type)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING

from recall_wire.formats import values
from recall_wire.formats.base import Notes
from recall_wire.formats.finish import fit_id, fits
from recall_wire.records import Kind, Record

if TYPE_CHECKING:
    from recall_wire.manifest import EmbeddingSpace

EMBEDDING = "embedding"
# They change with every look at a memory, or follow from its text: never a reason to upload it.
_DERIVED = frozenset(
    [
        *("access_count", "last_accessed", "last_accessed_at", "accessed_at", "usage_count"),
        *("use_count", "last_used", "last_used_at", "hit_count", "view_count", "last_viewed_at"),
        *("searchable_content", "fingerprint"),
    ]
)
_PARENTS = ("turn_parent_id", "causal_parent_id", "parent_id")
_OWN_KEY = "session_buddy"
TEXT_COLUMNS = ("content", "summary", "reflection", "query", "response")
BROKEN_KEY = "invalid_utf8_base64"

Row = Mapping[str, object]


def is_derived(column: str) -> bool:
    """Whether a column is an access counter or computed from others (vectors included)."""
    return column in _DERIVED or column.endswith(EMBEDDING)


class SessionRows:
    """Maps rows, noting what had to be repaired or left out."""

    def __init__(self, zone: tzinfo, embedding: EmbeddingSpace | None, notes: Notes) -> None:
        self._zone = zone
        self._embedding = embedding
        self._notes = notes

    def record(self, row: Row, *, identity: bytes, reflections: bool) -> Record | None:
        """The row as a record called `identity`, or None where it is left out (and noted)."""
        left = {name: value for name, value in row.items() if value is not None and name != "id"}
        own = own_metadata(left)
        memory_id = fit_id(identity, own, self._notes)
        insight = values.to_name(left.get("insight_type"))
        kind: Kind = "insight" if insight else "reflection" if reflections else "conversation"
        created = self._time(left, "created_at", "timestamp")
        record = Record(
            memory_id=memory_id,
            kind=kind,
            text=self._text(left, own, memory_id),
            created_at=created,
            updated_at=self._time(left, "updated_at") or created,
            project=_name(left, "project"),
            namespace=_name(left, "namespace"),
            session_id=_name(left, "session_id") or _session_of(own),
            agent_id=_name(left, "agent_id"),
            user_id=_name(left, "user_id"),
            tags=values.to_tags(left.pop("tags", None)),
            importance=values.to_unit(_take(left, "importance_score", "importance")),
            parent_id=_name(left, *(("conversation_id",) if reflections else ()), *_PARENTS),
            embedding=self._vector(left, memory_id),
            metadata=_metadata(own, left),
        )
        return record if fits(record, self._notes) else None

    def _text(self, left: dict[str, object], own: dict[str, object], label: str) -> str | None:
        value = first_text(left)
        if isinstance(value, bytes) and values.is_broken(value):
            own[BROKEN_KEY] = values.base64_text(value)
        if values.is_broken(value):
            self._notes.add("had text that is not valid UTF-8, repaired", label)
        return values.to_text(value)

    def _time(self, left: dict[str, object], *names: str) -> datetime | None:
        return values.to_time(_as_text(_take(left, *names)), self._zone)

    def _vector(self, left: dict[str, object], label: str) -> tuple[float, ...] | None:
        value = left.get(EMBEDDING)
        if self._embedding is None or value is None:
            return None
        vector = values.to_vector(value, self._embedding.dim)
        if vector is None:
            self._notes.add(f"had a vector that is not {self._embedding.dim} numbers", label)
        return vector


def first_text(left: dict[str, object]) -> object:
    """DESIGN's order: content, else summary, else reflection, else query and response.

    An empty text counts only where nothing follows it.
    """
    names = [name for name in ("content", "summary", "reflection") if name in left]
    filled = next((name for name in names if left[name] not in ("", b"")), None)
    if filled is not None:
        return left.pop(filled)
    turns = [values.to_text(left.pop(n)) or "" for n in ("query", "response") if n in left]
    if any(turns) or (turns and not names):
        return "\n".join(turns)
    return left.pop(names[0]) if names else None


def _take(left: dict[str, object], *names: str) -> object:
    """The first of the columns that holds something; others that say the same go with it."""
    name = next((name for name in names if name in left), None)
    if name is None:
        return None
    value = left.pop(name)
    for other in names:
        if other in left and left[other] == value:
            del left[other]
    return value


def _name(left: dict[str, object], *names: str) -> str | None:
    return values.to_name(_take(left, *names))


def _as_text(value: object) -> object:
    return values.to_text(value) if isinstance(value, bytes) else value


def own_metadata(left: dict[str, object]) -> dict[str, object]:
    """The source's own metadata: its keys where it is an object, else the value under one."""
    value = _as_text(left.pop("metadata", None))
    if isinstance(value, str):
        loaded = values.load_json(value)
        value = value if loaded is None and value.strip() != "null" else loaded
    if isinstance(value, dict):
        return dict(value)
    return {} if value in (None, "") else {"metadata": value}


def _session_of(own: dict[str, object]) -> str | None:
    names = (own.get("source_session"), own.get("session_id"))
    return next((values.whole(name) for name in names if isinstance(name, str) and name), None)


def _metadata(own: dict[str, object], left: dict[str, object]) -> str:
    rest = {name: _as_text(value) for name, value in left.items() if not is_derived(name)}
    if rest and _OWN_KEY in own:
        own["metadata"] = {_OWN_KEY: own.pop(_OWN_KEY), "metadata": own.get("metadata")}
    return values.dump_json({**own, _OWN_KEY: rest} if rest else own)
