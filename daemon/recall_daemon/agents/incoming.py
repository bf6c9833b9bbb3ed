"""What an agent asks to have stored, checked: its record, and what it has beside that."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from recall_daemon.agents.actor import Actor
from recall_daemon.agents.config import CATEGORY_TAG, TYPE_TAG
from recall_daemon.agents.decay import DEFAULT_IMPORTANCE, TIERS
from recall_daemon.errors import AgentInvalid
from recall_daemon.memory.incoming import read_memory
from recall_daemon.store.lives import Life, MemoryTier
from recall_wire.records import KINDS, Record

FIELDS: Final = (
    *("content", "memory_type", "memory_tier", "importance", "metadata", "tags", "parent_id"),
    *("category", "memory_id"),
)
MEMORY_TYPE: Final = "general"
MEMORY_TIER: Final = "short"
BATCH_MAX: Final = 1_000
LABEL_MAX_CHARS: Final = 100
_PASSED_ON = ("content", "metadata")


@dataclass(frozen=True)
class NewMemory:
    """`record.parent_id` is as it was asked for: a name, not resolved yet."""

    record: Record
    tier: MemoryTier

    def life(self, system_id: str, now: datetime) -> Life:
        """Its anchor: as important as it was said to be, from now on."""
        return Life(
            system_id,
            self.record.memory_id,
            memory_tier=self.tier,
            anchor_importance=self.record.importance,
            anchored_at=now,
        )


def read_new(body: object, actor: Actor, now: datetime) -> NewMemory:
    """Raises `AgentInvalid`, `MemoryInvalid`."""
    if not isinstance(body, Mapping):
        raise AgentInvalid("the memory is not a JSON object")
    check_known(body, FIELDS)
    memory_type = label(body, "memory_type") or MEMORY_TYPE
    told = body.get("memory_id")
    record = read_memory(
        {
            **{name: body[name] for name in _PASSED_ON if name in body},
            "memory_id": f"mem_{uuid.uuid4().hex}" if told is None else told,
            "kind": kind_of(memory_type),
            "tags": all_tags(tags(body), memory_type, label(body, "category")),
            "importance": DEFAULT_IMPORTANCE if (i := body.get("importance")) is None else i,
            "parent_id": body.get("parent_id"),
            "agent_id": actor.agent_id,
            "user_id": actor.user_id,
            "session_id": actor.session_id,
        },
        now=now,
    )
    return NewMemory(record, _tier(body.get("memory_tier")))


def read_batch(body: Mapping[str, Any], actor: Actor, now: datetime) -> list[NewMemory]:
    """All of them, each id once. Raises `AgentInvalid`, `MemoryInvalid`."""
    check_known(body, ("memories",))
    items = body.get("memories")
    if not isinstance(items, list) or not 0 < len(items) <= BATCH_MAX:
        raise AgentInvalid(f"memories is not a list of 1 to {BATCH_MAX}")
    asked = [read_new(item, actor, now) for item in items]
    ids = [one.record.memory_id for one in asked]
    if len(set(ids)) < len(ids):
        raise AgentInvalid("one memory_id is there more than once")
    return asked


def check_known(body: Mapping[str, Any], names: Sequence[str]) -> None:
    """Raises `AgentInvalid` for a key that is none of these."""
    unknown = next((key for key in body if key not in names), None)
    if unknown is not None:
        raise AgentInvalid(f"{str(unknown)[:40]!r} is not known", hint=f"known: {', '.join(names)}")


def label(body: Mapping[str, Any], name: str) -> str | None:
    """A category or a type: a short printable text. Raises `AgentInvalid`."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not value.isprintable() or value != value.strip():
        raise AgentInvalid(f"{name} is not printable text without white space at its ends")
    if not 0 < len(value) <= LABEL_MAX_CHARS:
        raise AgentInvalid(
            f"{name} has {len(value)} characters; 1 to {LABEL_MAX_CHARS} are allowed"
        )
    return value


def tags(body: Mapping[str, Any]) -> list[Any]:
    """As they are given; those that would be a category or a type are refused with `AgentInvalid`.

    What else may be wrong with them is found where the record is made.
    """
    given = body.get("tags")
    if given is None:
        return []
    if not isinstance(given, list):
        raise AgentInvalid("tags is not a list of texts")
    for tag in given:
        if isinstance(tag, str) and tag.startswith((CATEGORY_TAG, TYPE_TAG)):
            raise AgentInvalid(
                f"the tag {tag[:40]!r} begins as a category or a type does",
                hint="say it as category, or as memory_type",
            )
    return given


def all_tags(plain: Sequence[Any], memory_type: str | None, category: str | None) -> list[Any]:
    """A memory's tags with its type and its category among them."""
    of_type = [] if memory_type is None else [f"{TYPE_TAG}{memory_type}"]
    of_category = [] if category is None else [f"{CATEGORY_TAG}{category}"]
    return [*plain, *of_type, *of_category]


def kind_of(memory_type: str) -> str:
    """A type that is a kind of memory is that kind, too."""
    return memory_type if memory_type in KINDS else "note"


def _tier(value: object) -> MemoryTier:
    if value is None:
        return MEMORY_TIER
    for tier in TIERS:
        if value == tier:
            return tier
    raise AgentInvalid(f"memory_tier {str(value)[:40]!r} is none of {', '.join(TIERS)}")
