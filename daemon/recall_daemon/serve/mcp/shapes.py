"""What the tools answer, for programs; `words` says the same for models."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel


class Hit(BaseModel):
    """`passage` is the part that answers; `is_whole`: it is all that the memory says. `told_by`
    memories say the same."""

    system_id: str
    memory_id: str
    kind: str
    project: str | None
    session_id: str | None
    agent_id: str | None
    created_at: str | None
    tier: str
    score: float
    tags: list[str]
    passage: str | None
    is_whole: bool
    told_by: int


class Hits(BaseModel):
    """`degraded`: found by words alone. `incomplete`: the index is still being made."""

    query: str
    degraded: bool
    incomplete: bool
    hits: list[Hit]
    next_offset: int | None


class Memory(BaseModel):
    """Characters [`offset`, `offset` + length of `text`) of a memory of `text_chars`."""

    system_id: str
    memory_id: str
    kind: str
    text: str | None
    offset: int
    text_chars: int
    text_missing: str | None
    summary: str | None
    project: str | None
    namespace: str | None
    session_id: str | None
    agent_id: str | None
    user_id: str | None
    tags: list[str]
    importance: float | None
    parent_id: str | None
    created_at: str | None
    updated_at: str | None
    tier: str
    metadata: Any


class Brief(BaseModel):
    """A memory in a list, with the beginning of its text."""

    system_id: str
    memory_id: str
    kind: str
    project: str | None
    session_id: str | None
    agent_id: str | None
    created_at: str | None
    tier: str
    text: str | None
    is_whole: bool


class Near(Brief):
    """`score`: the cosine of the closest passages."""

    score: float


class Recent(BaseModel):
    """Newest first; `next_cursor` goes on from the last."""

    memories: list[Brief]
    next_cursor: str | None


class Related(BaseModel):
    """The turns of its session around it, and what is nearest in meaning, best first. `embedded`:
    its own meaning is known; until then `nearest` is empty."""

    system_id: str
    memory_id: str
    embedded: bool
    before: list[Brief]
    after: list[Brief]
    nearest: list[Near]


class SystemState(BaseModel):
    system_id: str
    rows: int
    complete_to: int
    missing: int
    quarantined: int
    lag_s: float
    last_merged_at: str | None


class Systems(BaseModel):
    systems: list[SystemState]


class Stats(BaseModel):
    """`backlog`: texts that wait for their vectors. `degraded`: there is no model."""

    rows: int
    systems: int
    backlog: int
    degraded: bool
    quarantined: int
    lagging: int


class Stored(BaseModel):
    """Stored: `stored_at`, `embedding_dim` and `source`; failed: `error`."""

    status: Literal["stored", "failed"]
    memory_id: str | None
    stored_at: str = ""
    embedding_dim: int = 0
    source: str = ""
    error: str = ""


class NotStored(BaseModel):
    memory_id: str | None
    error: str


class BatchStored(BaseModel):
    status: Literal["completed", "partial", "failed"]
    total: int
    stored: int
    failed: int
    errors: list[NotStored]
    stored_at: str


class Forgotten(BaseModel):
    """`still_in`: how many objects of the bucket hold it until they are rewritten."""

    forgotten: int
    forgotten_before: int
    ids: list[str]
    purge: str
    purge_due_at: str | None
    bucket: str
    still_in: int
    notes: list[str]


class PullError(BaseModel):
    url: str | None = None
    memory_id: str | None = None
    error: str


class Pulled(BaseModel):
    success: bool
    memories_fetched: int
    memories_synced: int
    embeddings_generated: int
    errors: list[PullError]


class SystemHit(BaseModel):
    """A hit under the names that callers of `search_all_systems` read."""

    system_id: str
    conversation_id: str
    content: str
    similarity: float
    timestamp: str | None


class AllSystemsHits(BaseModel):
    """`mode`: real, or fallback where the search went by words alone."""

    query: str
    total_results: int
    results: list[SystemHit]
    mode: Literal["real", "fallback"]
