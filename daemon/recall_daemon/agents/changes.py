"""What an update says, checked, and the content that it makes of another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from recall_daemon.agents.config import CATEGORY_TAG, STRATEGIES, TYPE_TAG, Strategy
from recall_daemon.errors import AgentInvalid
from recall_daemon.memory.incoming import TAGS_MAX, read_memory
from recall_wire.records import Record

_FIELDS: Final = ("content", "memory_type", "importance", "metadata", "tags", "category", "pinned")
_NAME_MAX_CHARS: Final = 200


@dataclass(frozen=True)
class Changes:
    """What of a memory becomes something else; what is not named stays. `pinned` None: as it is."""

    fields: Mapping[str, Any]
    pinned: bool | None = None

    def applied(self, record: Record, now: datetime) -> Record:
        """The content with the changes; `updated_at` moves where it says something else."""
        values = {name: self.fields[name] for name in _PLAIN if name in self.fields}
        changed = replace(record, **values, tags=self._tags(record.tags))
        return record if changed == record else replace(changed, updated_at=now)

    @property
    def importance(self) -> float | None:
        importance: float | None = self.fields.get("importance")
        return importance

    def _tags(self, tags: tuple[str, ...]) -> tuple[str, ...]:
        kept = tags
        if "tags" in self.fields:
            own = tuple(tag for tag in tags if tag.startswith((CATEGORY_TAG, TYPE_TAG)))
            kept = (*self.fields["tags"], *own)
        for prefix in (CATEGORY_TAG, TYPE_TAG):
            if prefix in self.fields:
                name = self.fields[prefix]
                kept = tuple(tag for tag in kept if not tag.startswith(prefix))
                kept = kept if name is None else (*kept, f"{prefix}{name}")
        return tuple(dict.fromkeys(kept))


_PLAIN: Final = ("text", "importance", "metadata")


def read_changes(body: Mapping[str, Any], now: datetime) -> Changes:
    """`{content?, memory_type?, importance?, metadata?, tags?, category?, pinned?}`, at least one.

    `metadata` and `tags` take the place of those there are; a category of null takes it away.
    Raises `AgentInvalid`, `MemoryInvalid`.
    """
    unknown = next((name for name in body if name not in _FIELDS), None)
    if unknown is not None:
        raise AgentInvalid(f"{unknown[:40]!r} is not known", hint=f"known: {', '.join(_FIELDS)}")
    if not body:
        raise AgentInvalid("there is nothing to change", hint=f"known: {', '.join(_FIELDS)}")
    pinned = body.get("pinned")
    if pinned is not None and not isinstance(pinned, bool):
        raise AgentInvalid("pinned is neither true nor false")
    given = {
        name: body[name]
        for name in ("content", "importance", "metadata", "tags")
        if body.get(name) is not None
    }
    read = read_memory({"memory_id": "x", "content": "x", **given}, now=now)
    fields: dict[str, Any] = {}
    if "content" in given:
        fields["text"] = read.text
    fields |= {name: getattr(read, name) for name in ("importance", "metadata") if name in given}
    if "tags" in given:
        fields["tags"] = plain(read.tags)
    if body.get("memory_type") is not None:
        fields[TYPE_TAG] = tag_name("memory_type", body["memory_type"])
    if "category" in body:
        told = body["category"]
        fields[CATEGORY_TAG] = None if told is None else tag_name("category", told)
    return Changes(fields, pinned)


def plain(tags: tuple[str, ...]) -> tuple[str, ...]:
    """Raises `AgentInvalid` for tags that would be a category or a type, or too many."""
    for tag in tags:
        if tag.startswith((CATEGORY_TAG, TYPE_TAG)):
            raise AgentInvalid(
                f"the tag {tag[:40]!r} names a category or a type",
                hint="say it as category or memory_type",
            )
    if len(tags) > TAGS_MAX - 2:
        raise AgentInvalid(f"there are {len(tags)} tags; at most {TAGS_MAX - 2} are allowed")
    return tags


def tag_name(what: str, value: object) -> str:
    """A category or a type. Raises `AgentInvalid`."""
    if not isinstance(value, str) or not 0 < len(value) <= _NAME_MAX_CHARS:
        raise AgentInvalid(f"{what} is not a text of 1 to {_NAME_MAX_CHARS} characters")
    if not value.isprintable() or value != value.strip():
        raise AgentInvalid(f"{what} is not printable, or has white space at its ends")
    return value


def read_strategy(value: object) -> Strategy | None:
    """Raises `AgentInvalid`."""
    for strategy in STRATEGIES:
        if value == strategy:
            return strategy
    if value is None:
        return None
    raise AgentInvalid(
        f"the strategy {str(value)[:40]!r} is not known", hint=f"known: {', '.join(STRATEGIES)}"
    )
