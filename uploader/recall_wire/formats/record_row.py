"""One row whose columns are named as the record's fields becomes one record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import TypeVar

from recall_wire.errors import SourceInvalid
from recall_wire.formats import values
from recall_wire.formats.base import Notes, ReadOptions
from recall_wire.formats.finish import fit_id, fits
from recall_wire.formats.session_row import BROKEN_KEY, SessionRows, first_text, own_metadata
from recall_wire.records import KINDS, OPS, Record

ID_COLUMNS = ("memory_id", "id")
_REFLECTION_COLUMNS = frozenset(["conversation_id", "insight_type", "related_entities"])
_SHOWN_MAX_CHARS = 40
_Choice = TypeVar("_Choice", bound=str)

Row = Mapping[str, object]


class TableRows:
    """Maps rows of a file, noting what had to be repaired or left out.

    A row with a `memory_id` is in the record schema; one with only an `id` has Session-Buddy's
    columns. Raises `SourceInvalid` for a kind or op that does not exist: reading it as another
    would change what the row says.
    """

    def __init__(self, options: ReadOptions, notes: Notes) -> None:
        self._zone: tzinfo = options.zone()
        self._embedding = options.embedding
        self._notes = notes
        self._session = SessionRows(self._zone, options.embedding, notes)

    def record(self, row: Row, identity: bytes) -> Record | None:
        """The row as a record, or None where it is left out (and noted)."""
        if row.get("memory_id") is not None:
            return self._in_schema(row, identity)
        reflections = row.get("kind") == "reflection" or not _REFLECTION_COLUMNS.isdisjoint(row)
        return self._session.record(row, identity=identity, reflections=reflections)

    def _in_schema(self, row: Row, identity: bytes) -> Record | None:
        left = {name: value for name, value in row.items() if value is not None}
        del left["memory_id"]
        metadata = own_metadata(left)
        memory_id = fit_id(identity, metadata, self._notes)
        record = Record(
            memory_id=memory_id,
            kind=_choice(left, "kind", KINDS, "note"),
            text=self._text(left, metadata, memory_id),
            created_at=self._time(left, "created_at"),
            updated_at=self._time(left, "updated_at"),
            project=_name(left, "project"),
            namespace=_name(left, "namespace"),
            session_id=_name(left, "session_id"),
            agent_id=_name(left, "agent_id"),
            user_id=_name(left, "user_id"),
            tags=values.to_tags(left.pop("tags", None)),
            importance=values.to_unit(left.pop("importance", None)),
            parent_id=_name(left, "parent_id"),
            embedding=self._vector(left.pop("embedding", None), memory_id),
            op=_choice(left, "op", OPS, "upsert"),
            target_system=_name(left, "target_system"),
            base_version=_name(left, "base_version"),
            metadata=_with_extra(metadata, left),
        )
        return record if fits(record, self._notes) else None

    def _text(self, left: dict[str, object], own: dict[str, object], label: str) -> str | None:
        value = left.pop("text") if "text" in left else first_text(left)
        if isinstance(value, bytes) and values.is_broken(value):
            own[BROKEN_KEY] = values.base64_text(value)
        if values.is_broken(value):
            self._notes.add("had text that is not valid UTF-8, repaired", label)
        return values.to_text(value)

    def _time(self, left: dict[str, object], name: str) -> datetime | None:
        value = left.pop(name, None)
        return values.to_time(
            values.to_text(value) if isinstance(value, bytes) else value, self._zone
        )

    def _vector(self, value: object, label: str) -> tuple[float, ...] | None:
        if self._embedding is None or value is None:
            return None
        vector = values.to_vector(value, self._embedding.dim)
        if vector is None:
            self._notes.add(f"had a vector that is not {self._embedding.dim} numbers", label)
        return vector


def identity_of(row: Row) -> bytes:
    """The bytes of `memory_id`, else of `id`; empty where there is none."""
    value = next((row[name] for name in ID_COLUMNS if row.get(name) is not None), None)
    if isinstance(value, bytes):
        return value
    return (values.to_text(value) or "").encode()


def _name(left: dict[str, object], name: str) -> str | None:
    return values.to_name(left.pop(name, None))


def _choice(
    left: dict[str, object], name: str, allowed: Sequence[_Choice], default: _Choice
) -> _Choice:
    said = values.to_text(left.pop(name, None)) or default
    for choice in allowed:
        if said == choice:
            return choice
    # What is long is no misspelt word: it may be anything, and half a secret is not found as one.
    shown = repr(said) if len(said) <= _SHOWN_MAX_CHARS else f"of {len(said)} characters"
    raise SourceInvalid(f"{name} {shown} is none of {', '.join(allowed)}")


def _with_extra(metadata: dict[str, object], left: dict[str, object]) -> str:
    extra = {
        name: values.to_text(value) if isinstance(value, bytes) else value
        for name, value in left.items()
    }
    if extra and isinstance(known := metadata.get("extra"), dict):
        extra = {**extra, **known}
    return values.dump_json({**metadata, "extra": extra} if extra else metadata)
