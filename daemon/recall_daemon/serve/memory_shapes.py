"""What travels through the routes for memories, as the OpenAPI document says it.

Bodies are checked in `memory.incoming`, which says in one sentence what is wrong: these models are
their description, and a test holds the two together.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from recall_daemon.memory.incoming import (
    EMBEDDING_MAX_NUMBERS,
    FIELD_MAX_CHARS,
    TAGS_MAX,
    TEXT_MAX_BYTES,
)
from recall_wire.records import MEMORY_ID_MAX_CHARS, Kind

BATCH_MAX: Final = 1_000

Name = Annotated[str, Field(max_length=FIELD_MAX_CHARS)]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
System = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]


class PostedMemory(BaseModel):
    """A memory to be stored. One of `text` and `content`, its other name, is required."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(min_length=1, max_length=TEXT_MAX_BYTES)]
    content: Annotated[str | None, Field(deprecated=True)] = None
    memory_id: Annotated[str | None, Field(min_length=1, max_length=MEMORY_ID_MAX_CHARS)] = None
    kind: Kind = "note"
    created_at: Time | None = None
    updated_at: Time | None = None
    project: Name | None = None
    namespace: Name | None = None
    session_id: Name | None = None
    agent_id: Name | None = None
    user_id: Name | None = None
    parent_id: Name | None = None
    tags: Annotated[list[Name], Field(max_length=TAGS_MAX)] = []
    importance: Annotated[float | None, Field(ge=0, le=1)] = None
    metadata: dict[str, Any] = {}
    embedding: Annotated[list[float] | None, Field(max_length=EMBEDDING_MAX_NUMBERS)] = None


class PostedOne(PostedMemory):
    """With the system it goes to, where the caller may write several."""

    system: System | None = None


class PostedBatch(BaseModel):
    """At most `BATCH_MAX` memories. What is wrong with one keeps no other out."""

    model_config = ConfigDict(extra="forbid")

    memories: Annotated[list[PostedMemory], Field(max_length=BATCH_MAX)]
    system: System | None = None


class StoredOne(BaseModel):
    status: Literal["stored"]
    system_id: str
    memory_id: str
    stored_at: str


class StoredName(BaseModel):
    index: int
    system_id: str
    memory_id: str


class Failure(BaseModel):
    index: int
    memory_id: str | None
    error: str


class StoredBatch(BaseModel):
    """`memories` are those that were stored, by their place in the request."""

    status: Literal["completed", "partial", "failed"]
    total: int
    stored: int
    failed: int
    memories: list[StoredName]
    errors: list[Failure]
    stored_at: str | None


class BriefMemory(BaseModel):
    """`text` is null where there is none, or where it could not be fetched (`text_missing`)."""

    system_id: str
    memory_id: str
    kind: str
    text: str | None
    project: str | None
    session_id: str | None
    created_at: str | None
    tier: Literal["hot", "warm", "cold"]
    agent_id: str | None
    seq: int
    tags: list[str]
    importance: float | None
    summary: str | None
    text_missing: str | None


class ListedMemory(BriefMemory):
    """`text_cut`: `text` is the first 20,000 characters, and there are more."""

    text_cut: bool


class Came(BaseModel):
    """The snapshot, or the run of posts, that brought the newest version."""

    origin: Literal["bucket", "push", "bare", "journal"]
    kind: str | None
    created_at: str | None
    settled_at: str | None


class WholeMemory(BriefMemory):
    updated_at: str | None
    namespace: str | None
    user_id: str | None
    parent_id: str | None
    metadata: dict[str, Any] | list[Any] | str | float | bool | None
    content_hash: str
    merged_at: str
    sub: int
    snapshot: Came | None


class MemoryList(BaseModel):
    memories: list[ListedMemory]
    next_cursor: str | None


class ScoredMemory(ListedMemory):
    score: float


class Related(BaseModel):
    system_id: str
    memory_id: str
    embedded: bool
    before: list[ListedMemory]
    after: list[ListedMemory]
    nearest: list[ScoredMemory]


def flat_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The schema with every reference written out, to stand anywhere in a document."""
    schema = model.model_json_schema()
    kinds = schema.pop("$defs", {})

    def written_out(part: Any) -> Any:
        if isinstance(part, dict):
            if "$ref" in part:
                return written_out(kinds[part["$ref"].rpartition("/")[2]])
            return {key: written_out(value) for key, value in part.items()}
        return [written_out(value) for value in part] if isinstance(part, list) else part

    whole: dict[str, Any] = written_out(schema)
    return whole
