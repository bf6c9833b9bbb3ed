"""The tools that write: storing, forgetting, and pulling from instances."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Protocol

from pydantic import AliasChoices, ConfigDict, Field

from recall_daemon.access.caller import Caller
from recall_daemon.embed.lazy import DIM
from recall_daemon.errors import MemoryInvalid
from recall_daemon.memory.criteria import Criteria
from recall_daemon.memory.forget import Forgetting
from recall_daemon.memory.incoming import pushed_memory, system_of
from recall_daemon.memory.posts import Posts
from recall_daemon.memory.whose import as_spoken, whose
from recall_daemon.pull.answer import ROWS_MAX
from recall_daemon.pull.sync import QUERY_MAX_CHARS, URLS_MAX
from recall_daemon.serve.mcp import words
from recall_daemon.serve.mcp.reading import MemoryId, SystemId, own_system
from recall_daemon.serve.mcp.shapes import BatchStored, Forgotten, NotStored, Pulled, Stored
from recall_daemon.serve.mcp.tool import (
    Answer,
    Arguments,
    Hints,
    Tool,
    in_few_threads,
    in_thread,
)
from recall_wire.errors import RecallError
from recall_wire.records import MEMORY_ID_MAX_CHARS, Record

BATCH_MAX: Final = 1_000


class Pull(Protocol):
    """`sync_all_instances` of the puller."""

    async def __call__(
        self, instance_urls: Sequence[str] | None, *, query: str, limit: int, incremental: bool
    ) -> Mapping[str, Any]: ...


def _shape(schema: Mapping[str, Any]) -> ConfigDict:
    """Whatever is sent is taken as it is: what is wrong with a memory is told in the tool's own
    answer, for that memory alone. Models are shown what it should be."""
    return ConfigDict(extra="ignore", json_schema_extra=lambda told: told.update(schema))


_MEMORY: Final = {
    "type": "object",
    "properties": {
        "memory_id": {
            "type": "string",
            "minLength": 1,
            "maxLength": MEMORY_ID_MAX_CHARS,
            "description": "Unique in its system; the same id again replaces the memory.",
        },
        "text": {"type": "string", "minLength": 1, "description": "What is to be remembered."},
        "embedding": {
            "type": ["array", "null"],
            "items": {"type": "number"},
            "description": "Not needed: the hub embeds the text itself.",
        },
        "metadata": {
            "type": ["object", "null"],
            "description": "source, created_at, project, session_id, tags, importance, and more.",
        },
    },
    "required": ["memory_id", "text"],
}


class Store(Arguments):
    """Instances of today say `id` where they store a single memory."""

    model_config = _shape(_MEMORY)

    memory_id: Annotated[Any, Field(validation_alias=AliasChoices("memory_id", "id"))] = None
    text: Any = None
    embedding: Any = None
    metadata: Any = None


class StoreBatch(Arguments):
    model_config = _shape(
        {
            "properties": {
                "memories": {"type": "array", "items": _MEMORY, "maxItems": BATCH_MAX},
            },
            "required": ["memories"],
        }
    )

    memories: Any = None


class Forget(Arguments):
    memory_id: MemoryId
    system_id: SystemId = None


class Sync(Arguments):
    instance_urls: Annotated[
        tuple[str, ...] | None,
        Field(max_length=URLS_MAX, description="Those that are configured where none is named."),
    ] = None
    query: Annotated[
        str,
        Field(max_length=QUERY_MAX_CHARS, description="Fetch what matches; all where it is empty."),
    ] = ""
    limit: Annotated[int, Field(ge=1, le=ROWS_MAX, description="Memories of one instance.")] = 100
    incremental: Annotated[bool, Field(description="Only what is new since the last time.")] = True


@dataclass(frozen=True)
class Writing:
    """`sources`: the system of a `metadata.source`. Without `pull` nothing can be pulled."""

    posts: Posts
    forgetting: Forgetting
    sources: Mapping[str, str]
    now: Callable[[], datetime]
    pull: Pull | None = None

    def tools(self) -> list[Tool]:
        upserts, ends = Hints(idempotent=True), Hints(destructive=True, idempotent=True)
        fetches = Hints(idempotent=True, open_world=True)
        return [
            Tool("store_memory", "Store", Store, Stored, upserts, in_thread(self.store)),
            Tool(
                "batch_store_memories",
                "Store many",
                StoreBatch,
                BatchStored,
                upserts,
                in_thread(self.store_batch),
            ),
            Tool("forget_memory", "Forget", Forget, Forgotten, ends, in_few_threads(self.forget)),
            *(
                [Tool("sync_instances", "Pull", Sync, Pulled, fetches, self.sync)]
                if self.pull is not None
                else []
            ),
        ]

    def store(self, caller: Caller, asked: Store) -> Answer:
        """Store one memory, or replace the one with its id. It is durable when this answers.

        What metadata says of project, session_id, tags, importance, created_at and the like can be
        searched by; all of it is kept.
        """
        try:
            system_id, record = self._record(caller, asked)
            stored = self.posts.store(system_id, [record], actor=caller.name, whose=whose(caller))
        except RecallError as error:
            failed = Stored(status="failed", memory_id=_named(asked.memory_id), error=str(error))
            return Answer(failed, words.stored(failed), error)
        result = Stored(
            status="stored",
            memory_id=record.memory_id,
            stored_at=stored.stored_at.isoformat(),
            embedding_dim=DIM,
            source=_source(asked.metadata) or system_id,
        )
        return Answer(result, words.stored(result))

    def store_batch(self, caller: Caller, asked: StoreBatch) -> Answer:
        """Store up to 1,000 memories at once. What is wrong with some keeps no other from being
        stored: `errors` names those. What is stored is durable when this answers."""
        batch = _Batch()
        try:
            given = _checked(asked.memories)
        except MemoryInvalid as error:
            batch.refuse(_total(asked.memories), error)
        else:
            self._store_all(caller, given, batch)
        result = batch.result(self.now())
        return Answer(result, words.batch(result), batch.error if not result.stored else None)

    def _store_all(self, caller: Caller, given: Sequence[object], batch: _Batch) -> None:
        records: dict[str, list[Record]] = {}
        for one in given:
            try:
                asked = Store.model_validate(one) if isinstance(one, dict) else _no_object()
                system_id, record = self._record(caller, asked)
            except RecallError as error:
                batch.fail(_named(_id_of(one)), error)
            else:
                records.setdefault(system_id, []).append(record)
        for system_id, some in records.items():
            try:
                self.posts.store(system_id, some, actor=caller.name, whose=whose(caller))
            except RecallError as error:
                for record in some:
                    batch.fail(record.memory_id, error)
            else:
                batch.stored += len(some)

    def _record(self, caller: Caller, asked: Store) -> tuple[str, Record]:
        """Raises `MemoryInvalid`, and `Forbidden` where the caller may not write the system."""
        metadata = asked.metadata if isinstance(asked.metadata, dict) else None
        system_id = system_of(caller, metadata, self.sources)
        record = pushed_memory(
            asked.memory_id, asked.text, _one_row(asked.embedding), asked.metadata, now=self.now()
        )
        return system_id, as_spoken(caller, record)

    def forget(self, caller: Caller, asked: Forget) -> Answer:
        """Forget one memory for ever: it is gone from searches at once, and never comes back."""
        system_id = own_system(caller, asked.system_id)
        caller.check_write(system_id)
        criteria = Criteria(identities=((system_id, asked.memory_id),))
        receipt = self.forgetting.forget(criteria, purge=False, caller=caller)
        known = {name: receipt[name] for name in Forgotten.model_fields}
        result = Forgotten(**known | {"still_in": len(receipt["still_in"])})
        return Answer(result, words.forgotten(result))

    async def sync(self, caller: Caller, asked: Sync) -> Answer:
        """Fetch memories over HTTP from instances that cannot reach the bucket. For admins."""
        caller.check_admin()
        assert self.pull is not None
        found = await self.pull(
            asked.instance_urls,
            query=asked.query,
            limit=asked.limit,
            incremental=asked.incremental,
        )
        result = Pulled.model_validate(found)
        return Answer(result, words.pulled(result))


class _Batch:
    """What became of each memory of a batch."""

    def __init__(self) -> None:
        self.stored = 0
        self.error: RecallError | None = None
        self._failed = 0
        self._errors: list[NotStored] = []

    def fail(self, memory_id: str | None, error: RecallError) -> None:
        self._failed += 1
        self._say(memory_id, error)

    def refuse(self, total: int, error: RecallError) -> None:
        self._failed = total
        self._say(None, error)

    def _say(self, memory_id: str | None, error: RecallError) -> None:
        self.error = error
        self._errors.append(NotStored(memory_id=memory_id, error=str(error)))

    def result(self, now: datetime) -> BatchStored:
        return BatchStored(
            status=self._status,
            total=self.stored + self._failed,
            stored=self.stored,
            failed=self._failed,
            errors=self._errors,
            stored_at=now.isoformat(),
        )

    @property
    def _status(self) -> Literal["completed", "partial", "failed"]:
        if not self._errors:
            return "completed"
        return "partial" if self.stored else "failed"


def _checked(memories: object) -> list[object]:
    if not isinstance(memories, list):
        raise MemoryInvalid("memories is not a list")
    if len(memories) > BATCH_MAX:
        raise MemoryInvalid(
            f"the batch has {len(memories)} memories; at most {BATCH_MAX} are allowed",
            hint="send them as several batches",
        )
    return memories


def _total(memories: object) -> int:
    return len(memories) if isinstance(memories, list) else 0


def _no_object() -> Store:
    raise MemoryInvalid("the memory is not a JSON object")


def _id_of(memory: object) -> object:
    return memory.get("memory_id", memory.get("id")) if isinstance(memory, dict) else None


def _named(memory_id: object) -> str | None:
    """The id as it came, for whoever has to find the memory again."""
    return memory_id if isinstance(memory_id, str) else None


def _source(metadata: object) -> str | None:
    source = metadata.get("source") if isinstance(metadata, dict) else None
    return source if isinstance(source, str) and source else None


def _one_row(embedding: object) -> object:
    """Some instances send the matrix that their model returned: one row of it."""
    if isinstance(embedding, list) and len(embedding) == 1 and isinstance(embedding[0], list):
        return embedding[0]
    return embedding
