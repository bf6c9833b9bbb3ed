"""Two contents that grew from one, merged field by field."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from recall_daemon.versions.content import FIELDS
from recall_wire.formats.values import dump_json
from recall_wire.records import Record

# Not what somebody says, but when.
_CLOCK: Final = "updated_at"
_SAID = tuple(name for name in FIELDS if name not in (_CLOCK, "metadata"))
_MISSING: Final = object()
_KEY: Final = "metadata."


@dataclass(frozen=True)
class Merged:
    """`overlapping`: the fields that both changed, to different values; where there are any,
    `record` has ours of them. A key of the metadata is a field, as `metadata.KEY`."""

    record: Record
    overlapping: tuple[str, ...]


def same(a: Record, b: Record) -> bool:
    """Whether two contents say the same, whenever they did."""
    fields = (getattr(a, name) == getattr(b, name) for name in (*_SAID, "metadata"))
    return all(fields)


def three_way(base: Record | None, ours: Record, theirs: Record) -> Merged:
    """What both say. Without a base, whatever differs overlaps."""
    values: dict[str, Any] = {}
    overlapping: list[str] = []
    for name in _SAID:
        before = _MISSING if base is None else getattr(base, name)
        one, other = getattr(ours, name), getattr(theirs, name)
        values[name], clash = _pick(before, one, other)
        if clash:
            overlapping.append(name)
    metadata, clashes = _metadata(base, ours, theirs)
    times = [one for one in (ours.updated_at, theirs.updated_at) if one is not None]
    record = replace(ours, **values, metadata=metadata, updated_at=max(times, default=None))
    return Merged(record, (*overlapping, *clashes))


def with_fields(record: Record, other: Record, names: Iterable[str]) -> Record:
    """The record with these fields, as `Merged.overlapping` names them, as the other has them."""
    values: dict[str, Any] = {}
    own, others = _object(record.metadata), _object(other.metadata)
    for name in names:
        key = name.removeprefix(_KEY)
        if key != name and own is not None and others is not None:
            own.pop(key, None)
            own |= {key: others[key]} if key in others else {}
            plain = {one: json.loads(value) for one, value in own.items()}
            values["metadata"] = dump_json(plain)
        elif name in FIELDS:
            values[name] = getattr(other, name)
    return replace(record, **values)


def _pick(before: object, ours: Any, theirs: Any) -> tuple[Any, bool]:
    """The value, and whether both changed it differently."""
    if ours == before:
        return theirs, False
    return ours, theirs not in (ours, before)


def _metadata(base: Record | None, ours: Record, theirs: Record) -> tuple[str, list[str]]:
    if ours.metadata == theirs.metadata:
        return ours.metadata, []
    one, other = _object(ours.metadata), _object(theirs.metadata)
    before = None if base is None else _object(base.metadata)
    if one is None or other is None or (base is not None and before is None):
        known = _MISSING if base is None else base.metadata
        value, clash = _pick(known, ours.metadata, theirs.metadata)
        return value, ["metadata"] if clash else []
    return _keys(before, one, other)


def _keys(
    before: Mapping[str, str] | None, ours: Mapping[str, str], theirs: Mapping[str, str]
) -> tuple[str, list[str]]:
    merged: dict[str, Any] = {}
    clashes = []
    for key in sorted({*ours, *theirs}):
        one, other = ours.get(key, _MISSING), theirs.get(key, _MISSING)
        if before is None:  # what only one of them says is nobody's loss
            value = other if one is _MISSING else one
            clash = _MISSING not in (one, other) and one != other
        else:
            value, clash = _pick(before.get(key, _MISSING), one, other)
        if value is not _MISSING:
            merged[key] = json.loads(str(value))
        if clash:
            clashes.append(f"{_KEY}{key}")
    return dump_json(merged), clashes


def _object(metadata: str) -> dict[str, str] | None:
    """By key what it says, as JSON: in Python 1 and true would be the same."""
    try:
        loaded = json.loads(metadata)
    except (ValueError, RecursionError):
        return None
    if not isinstance(loaded, dict):
        return None
    return {key: json.dumps(value, sort_keys=True) for key, value in loaded.items()}
