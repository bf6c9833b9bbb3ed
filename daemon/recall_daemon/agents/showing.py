"""A memory as the agents' side shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from recall_daemon.agents.config import categories_of, plain_tags, type_of
from recall_daemon.agents.decay import anchor_of, effective
from recall_daemon.store.cold_files import ColdPlace
from recall_daemon.store.lives import Life
from recall_daemon.store.showing import Memory
from recall_daemon.tiers.fetch import ColdTexts, FarContent, text_missing
from recall_daemon.versions.content import version_id
from recall_wire.errors import RecallError
from recall_wire.formats.values import dump_json, load_json

Json = dict[str, Any]
Lives = Mapping[tuple[str, str], Life]

PINNED_TAG = "pinned"

_AS_THEY_ARE = (
    *("memory_id", "system_id", "parent_id", "agent_id", "user_id", "session_id", "kind", "tier"),
)


class Showing:
    """Blocking; safe from many threads."""

    def __init__(self, far: ColdTexts) -> None:
        self._far = far

    def shown(self, memories: Sequence[Memory], lives: Lives, now: datetime) -> list[Json]:
        """Each as JSON; `lives` are of the moment that the memories are of.

        The texts of cold ones are fetched; where that fails `content` and `metadata` are null, and
        `text_missing` says why.
        """
        far = self._far.contents(
            [
                ColdPlace(memory.row_id, memory.cold_file, memory.cold_row)
                for memory in memories
                if memory.cold_file is not None and memory.cold_row is not None
            ]
        )
        return [
            _json(memory, life_of(memory, lives), far.get(memory.row_id), now)
            for memory in memories
        ]


def life_of(memory: Memory, lives: Lives) -> Life:
    name = (memory.system_id, memory.memory_id)
    return lives.get(name) or Life(*name)


def version_of(memory: Memory, life: Life) -> str:
    """The version that is served: the head, or that of the one content that there ever was."""
    return life.head or version_id((), memory.content_hash)


def importance_of(memory: Memory, life: Life, now: datetime) -> tuple[float, float]:
    """The effective importance now, and the one that it falls from."""
    anchored = (life.anchor_importance, life.anchored_at)
    anchor = anchor_of(life.memory_tier, anchored, memory.importance, memory.merged_at)
    return round(effective(anchor, now), 6), round(anchor.importance, 6)


def _json(memory: Memory, life: Life, far: FarContent | RecallError | None, now: datetime) -> Json:
    missing = None
    if isinstance(far, FarContent):
        memory = replace(memory, text=far.text, metadata=far.metadata)
    elif far is not None:
        missing = text_missing(far)
    tags = memory.tags or []
    importance, base = importance_of(memory, life, now)
    return {
        **{name: getattr(memory, name) for name in _AS_THEY_ARE},
        "content": memory.text,
        "memory_type": type_of(tags),
        "memory_tier": life.memory_tier,
        "importance": importance,
        "base_importance": base,
        "metadata": _object(memory.metadata),
        "tags": list(plain_tags(tags)),
        "categories": sorted(categories_of(tags)),
        "created_at": _time(memory.created_at),
        "updated_at": _time(memory.updated_at),
        "version": version_of(memory, life),
        "pinned": life.pinned or PINNED_TAG in tags,
        "text_missing": missing,
    }


def _object(metadata: str | None) -> object:
    """As JSON can hold it: a snapshot may bring NaN, lone surrogates, or no JSON at all."""
    loaded = None if metadata is None else load_json(metadata)
    return metadata if loaded is None else load_json(dump_json(loaded))


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()
