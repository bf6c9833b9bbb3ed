"""What the agents' tools answer: what the routes answer, field by field."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


class AgentMemory(BaseModel):
    """`importance` is the effective one, which falls from `base_importance` with time."""

    memory_id: str
    system_id: str
    content: str | None
    memory_type: str
    memory_tier: str | None
    importance: float
    base_importance: float
    metadata: Any
    tags: list[str]
    categories: list[str]
    parent_id: str | None
    agent_id: str | None
    user_id: str | None
    session_id: str | None
    kind: str
    created_at: str | None
    updated_at: str | None
    version: str
    pinned: bool
    tier: str
    text_missing: str | None


class Added(BaseModel):
    memory_id: str
    system_id: str
    version: str


class AddedMany(BaseModel):
    memory_ids: list[str]
    memories: list[Added]


class Updated(BaseModel):
    """outcome: advanced, unchanged, merged or conflict. `served`: the version that is read now."""

    memory_id: str
    system_id: str
    version: str
    served: str
    outcome: str
    conflict_id: str | None


class Deleted(BaseModel):
    deleted_ids: list[str]
    deletion_id: int


class Restored(BaseModel):
    restored_ids: list[str]


class FateEvent(BaseModel):
    what: str
    at: str
    deletion_id: int
    by: str | None = None
    reason: str | None = None


class Fate(BaseModel):
    """state: live, deleted, purged, removed or forgotten. `until`: it can be brought back."""

    system_id: str
    memory_id: str
    state: str
    why: str
    deletion_id: int | None
    until: str | None
    events: list[FateEvent]


class Memories(BaseModel):
    memories: list[AgentMemory]
    count: int
    missing: list[str]


class Results(BaseModel):
    results: list[AgentMemory]
    count: int


class Reinforced(BaseModel):
    memory_id: str
    system_id: str
    new_importance: float


class Version(BaseModel):
    """`content` is null where it is not kept any more."""

    version_id: str
    parents: list[str]
    kind: str
    author: str | None
    agent_id: str | None
    written_at: str
    withdrawn: bool
    served: bool
    content: str | None


class Versions(BaseModel):
    """Newest first."""

    memory_id: str
    system_id: str
    head: str | None
    versions: list[Version]


class Shared(BaseModel):
    share_ids: list[int]
    memory_id: str
    system_id: str


class Revoked(BaseModel):
    share_id: int
    revoked: bool


class Share(BaseModel):
    share_id: int
    system_id: str
    memory_id: str
    agent: str
    permission: str
    granted_by: str
    granted_at: str
    expires_at: str | None


class Shares(BaseModel):
    shares: list[Share]
    next_before: int | None


class ShareRule(BaseModel):
    """Null: whoever wrote it, whatever category or tag it has. `targets`: `*` is every agent."""

    rule_id: int
    source_agent: str | None
    category: str | None
    tag: str | None
    targets: list[str]
    made_by: str
    made_at: str


class ShareRules(BaseModel):
    rules: list[ShareRule]


class RuleMade(BaseModel):
    rule_id: int


class RuleRevoked(BaseModel):
    rule_id: int
    revoked: bool


class SyncMetadata(BaseModel):
    is_locked: bool
    lock_holder: str | None
    has_conflicts: bool
    last_sync_check: str


class SliceEntry(BaseModel):
    memory: AgentMemory
    sync_metadata: SyncMetadata


class Slice(BaseModel):
    agent_id: str
    memory_slice: list[SliceEntry]
    statistics: dict[str, int]
    next_cursor: str | None


class AgentHit(BaseModel):
    """`seen_by`: own, shared by NAME, category NAME, rule N, or reach."""

    memory: AgentMemory
    score: float | None
    is_shared: bool
    source_agent: str | None
    seen_by: str


class AgentHits(BaseModel):
    results: list[AgentHit]
    count: int
    degraded: bool


class Agent(BaseModel):
    name: str
    priority: str
    retention_days: float | None
    conflict_strategy: str | None
    specialities: list[str]
    restricted_categories: list[str]


class Agents(BaseModel):
    agents: list[Agent]


class Counts(BaseModel):
    """Counts by their names."""

    model_config = {"extra": "allow"}


class Allocation(Counts):
    agent_id: str
    total_bytes: int


class SyncStatistics(Counts):
    counted_at: str


class HeldLock(BaseModel):
    system_id: str
    memory_id: str
    holder: str | None
    fence: int | None
    expires_at: str | None
    depth: int = 1
    acquired_at: str | None = None
    mine: bool = False


class WaitingFor(BaseModel):
    system_id: str
    memory_id: str
    holder: str
    waits_until: str
    place: int = 0
    mine: bool = False


class Locks(BaseModel):
    locks: list[HeldLock]
    waiting: list[WaitingFor]


class Coordinator(Locks):
    checked_at: str
    agents: list[str]
    grants_version: int
    global_categories: list[str]


class Lock(BaseModel):
    """Changes of the memory carry `fence` until `expires_at`; of depth 0 it is free."""

    system_id: str
    memory_id: str
    fence: int
    depth: int
    expires_at: str | None


class LockHad(BaseModel):
    lock: Lock


class ForcedLock(BaseModel):
    memory_id: str
    system_id: str
    holder: str
    fence: int
    reason: str


class Forced(BaseModel):
    released: ForcedLock


class Conflict(BaseModel):
    """Two versions that say different things in `fields`; `ours` began first."""

    conflict_id: str
    system_id: str
    memory_id: str
    state: str
    fields: list[str]
    strategy: str
    manual: bool
    detected_at: str
    resolved_at: str | None
    resolved_by: str | None
    winner: str | None
    resolution: str | None


class QueuedConflict(Conflict):
    """The sides by their versions."""

    ours: str
    theirs: str
    base: str | None


class Conflicts(BaseModel):
    conflicts: list[QueuedConflict]
    next_cursor: str | None


class Side(BaseModel):
    """`record`: all that the version says; null where it is not kept any more."""

    version_id: str
    served: bool
    record: dict[str, Any] | None
    parents: list[str] = []
    kind: str | None = None
    author: str | None = None
    agent_id: str | None = None
    written_at: str | None = None
    withdrawn: bool = False
    content: str | None = None


class BothSides(Conflict):
    """`diff`: a unified diff of the texts, by sentence."""

    ours: Side
    theirs: Side
    base: Side | None
    diff: list[str]


class Resolved(BaseModel):
    """`version` is served now; `open`: conflicts of the memory that wait on."""

    conflict_id: str
    state: str
    resolution: str | None
    version: str | None
    open: list[str]
