"""What an update says, checked, and the content that it makes of another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from recall_daemon.agents.config import CATEGORY_TAG, STRATEGIES, TYPE_TAG, Strategy
from recall_daemon.agents.incoming import check_known, kind_of, label, tags
from recall_daemon.errors import AgentInvalid
from recall_daemon.memory.incoming import read_memory
from recall_daemon.versions.content import as_kept
from recall_wire.records import Record

_FIELDS: Final = ("content", "memory_type", "importance", "metadata", "tags", "category", "pinned")
_READ: Final = ("content", "importance", "metadata", "tags")
_NAMES: Final = {"content": "text"}


@dataclass(frozen=True)
class Changes:
    """What of a memory becomes something else; what is not named stays. `pinned` None: as it is."""

    fields: Mapping[str, Any]
    pinned: bool | None = None

    def applied(self, record: Record, now: datetime) -> Record:
        """The content with the changes; `updated_at` moves where it says something else."""
        values = {name: self.fields[name] for name in _PLAIN if name in self.fields}
        if TYPE_TAG in self.fields:
            values["kind"] = kind_of(self.fields[TYPE_TAG])
        changed = as_kept(replace(record, **values, tags=self._tags(record.tags)))
        return record if changed == record else replace(changed, updated_at=now)

    @property
    def category(self) -> str | None:
        """The category that it gets."""
        category: str | None = self.fields.get(CATEGORY_TAG)
        return category

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
    check_known(body, _FIELDS)
    if not body:
        raise AgentInvalid("there is nothing to change", hint=f"known: {', '.join(_FIELDS)}")
    pinned = body.get("pinned")
    if pinned is not None and not isinstance(pinned, bool):
        raise AgentInvalid("pinned is neither true nor false")
    given = {name: body[name] for name in _READ if body.get(name) is not None}
    said = {**given, "tags": tags(body), "memory_id": "x", "content": given.get("content", "x")}
    read = read_memory(said, now=now)
    values: dict[str, Any] = {"content": read.text, "tags": read.tags}
    values |= {"importance": read.importance, "metadata": read.metadata}
    fields: dict[str, Any] = {_NAMES.get(name, name): values[name] for name in given}
    if (memory_type := label(body, "memory_type")) is not None:
        fields[TYPE_TAG] = memory_type
    if "category" in body:
        fields[CATEGORY_TAG] = label(body, "category")
    return Changes(fields, pinned)


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
