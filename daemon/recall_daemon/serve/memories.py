"""The routes for single memories: store, list, get, what is related, forget."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Final

import anyio.to_thread
from fastapi import Body, Depends, FastAPI, Header, Query
from fastapi.responses import JSONResponse
from pydantic import WithJsonSchema
from starlette.convertors import PathConvertor, register_url_convertor

from recall_daemon.access.caller import Caller
from recall_daemon.errors import (
    DiskFull,
    Forbidden,
    KeyReused,
    MemoryInvalid,
    MemoryNotFound,
    StoreRefused,
)
from recall_daemon.index.filters import Filters
from recall_daemon.memory.criteria import Criteria
from recall_daemon.memory.forget import Forgetting
from recall_daemon.memory.incoming import read_memory, target_system, without_system
from recall_daemon.memory.posts import Posts, Stored, stored_json
from recall_daemon.memory.read import LIMIT, LIMIT_MAX, Memories
from recall_daemon.memory.whose import as_spoken, whose
from recall_daemon.operations import Json
from recall_daemon.search.query import SearchRequest
from recall_daemon.serve.guard import Allowance
from recall_daemon.serve.memory_shapes import (
    BATCH_MAX,
    MemoryList,
    PostedBatch,
    PostedOne,
    Related,
    StoredBatch,
    StoredOne,
    WholeMemory,
    flat_schema,
)
from recall_daemon.serve.slow import slowly
from recall_daemon.serve.who import Who
from recall_daemon.store.answers import Key
from recall_wire.errors import RecallError
from recall_wire.formats.values import whole
from recall_wire.manifest import now_utc
from recall_wire.records import Record

STATUSES: Final[Mapping[type[RecallError], int]] = {
    MemoryInvalid: 422,
    StoreRefused: 422,
    MemoryNotFound: 404,
    KeyReused: 422,
    DiskFull: 507,
}

_JSON: Final = frozenset({"application/json"})
ONE: Final = Allowance("POST", re.compile(r"/v1/memories"), _JSON, 8 << 20)
BATCH: Final = Allowance("POST", re.compile(r"/v1/memories/batch"), _JSON, 32 << 20)

OneBody = Annotated[Json, WithJsonSchema(flat_schema(PostedOne)), Body()]
BatchBody = Annotated[Json, WithJsonSchema(flat_schema(PostedBatch)), Body()]
IdempotencyKey = Annotated[
    str | None, Header(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$")
]
Values = Annotated[list[str], Query()]
Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX)]


@dataclass(frozen=True)
class Parts:
    """What the routes need of the hub. `sources`: see `memory.incoming.system_of`."""

    posts: Posts
    memories: Memories
    forgetting: Forgetting
    sources: Mapping[str, str] = field(default_factory=dict)
    now: Callable[[], datetime] = now_utc


def filters_asked(
    *,
    system: Values = [],  # noqa: B006
    project: Values = [],  # noqa: B006
    kind: Values = [],  # noqa: B006
    session: Values = [],  # noqa: B006
    tags: Values = [],  # noqa: B006
    agent: Values = [],  # noqa: B006
    user: Values = [],  # noqa: B006
    namespace: Values = [],  # noqa: B006
    since: str | None = None,
    until: str | None = None,
) -> Filters:
    """A search's filters, each given once or several times. Raises `QueryInvalid`."""
    asked: dict[str, Any] = {
        "system": system,
        "project": project,
        "kind": kind,
        "session": session,
        "tags": tags,
        "agent": agent,
        "user": user,
        "namespace": namespace,
        "since": since,
        "until": until,
    }
    return SearchRequest(query="*", **asked).filters


Asked = Annotated[Filters, Depends(filters_asked)]


class Whole(PathConvertor):
    """The rest of a path. Starlette's own ends at a line's end, and ids may hold some."""

    regex = r"[\s\S]*"


register_url_convertor("whole", Whole())


def install(app: FastAPI, parts: Parts) -> None:
    """Add the routes to an app whose errors are answered as problems, with `STATUSES`."""
    _store(app, parts)
    _read(app, parts.memories)
    _forget(app, parts.forgetting)


def _store(app: FastAPI, parts: Parts) -> None:
    # Not in a worker thread: nothing of it blocks but the commit, which is waited for.
    @app.post("/v1/memories", responses={200: {"model": StoredOne}})
    async def store(
        caller: Who, body: OneBody, idempotency_key: IdempotencyKey = None
    ) -> JSONResponse:
        """Store one memory; it is durable when this answers, and found a moment later.

        One with the same id in the same system is replaced. A request that is sent again with its
        `Idempotency-Key` gets the same answer, and is done once.
        """
        record = as_spoken(caller, read_memory(without_system(body), now=parts.now()))
        system_id = target_system(caller, body, parts.sources)
        key = _key(caller, idempotency_key, body)
        posted = parts.posts.begin(
            {system_id: [record]}, actor=caller.name, key=key, whose=whose(caller)
        )
        stored = await _done(posted)
        return JSONResponse(stored_json(system_id, record, stored))

    @app.post("/v1/memories/batch", responses={200: {"model": StoredBatch}})
    async def store_batch(
        caller: Who, body: BatchBody, idempotency_key: IdempotencyKey = None
    ) -> JSONResponse:
        """Store up to 1,000 memories; those that can be stored are, and each other says why not.

        The stored ones are durable together when this answers.
        """
        batch = await anyio.to_thread.run_sync(_read_batch, caller, body, parts)
        stored_at = None
        if batch.names:
            key = _key(caller, idempotency_key, body)
            posted = parts.posts.begin(
                batch.records, actor=caller.name, key=key, whose=whose(caller)
            )
            stored = await _done(posted)
            stored_at = stored.stored_at.isoformat()
        return JSONResponse(batch.to_json(stored_at))


def _read(app: FastAPI, memories: Memories) -> None:
    @app.get("/v1/memories", responses={200: {"model": MemoryList}})
    def recent(
        caller: Who, filters: Asked, limit: Limit = LIMIT, cursor: str | None = None
    ) -> JSONResponse:
        """Memories, newest first by `created_at`; `next_cursor` leads to the next page."""
        return JSONResponse(memories.recent(filters, limit, cursor, caller.reach))

    @app.get("/v1/memories/{system_id}/{memory_id:whole}", responses={200: {"model": WholeMemory}})
    def get(caller: Who, system_id: str, memory_id: str) -> JSONResponse:
        """All there is of one memory. An id may hold slashes."""
        return JSONResponse(memories.get(system_id, memory_id, caller.reach))

    @app.get("/v1/related/{system_id}/{memory_id:whole}", responses={200: {"model": Related}})
    def related(
        caller: Who, filters: Asked, system_id: str, memory_id: str, limit: Limit = LIMIT
    ) -> JSONResponse:
        """The turns around it in its session, and what is nearest by meaning."""
        return JSONResponse(memories.related(system_id, memory_id, limit, caller.reach, filters))


def _forget(app: FastAPI, forgetting: Forgetting) -> None:
    @app.delete("/v1/memories/{system_id}/{memory_id:whole}")
    async def forget(caller: Who, system_id: str, memory_id: str) -> JSONResponse:
        """Forget one memory for good, and answer with the receipt; see `POST /v1/forget`."""
        caller.check_write(system_id)
        one = Criteria(identities=((system_id, memory_id),))
        work = partial(forgetting.forget, one, purge=False, caller=caller)
        return JSONResponse(await slowly(work))


@dataclass
class _Batch:
    """What of a batch can be stored, by system; `names` by place in the request."""

    total: int
    records: dict[str, list[Record]] = field(default_factory=dict)
    names: dict[int, tuple[str, str]] = field(default_factory=dict)
    errors: list[Json] = field(default_factory=list)

    def add(self, index: int, system_id: str, record: Record) -> None:
        self.records.setdefault(system_id, []).append(record)
        self.names[index] = (system_id, record.memory_id)

    def to_json(self, stored_at: str | None) -> Json:
        some = "partial" if self.names else "failed"
        return {
            "status": some if self.errors else "completed",
            "total": self.total,
            "stored": len(self.names),
            "failed": len(self.errors),
            "memories": [
                {"index": index, "system_id": system_id, "memory_id": memory_id}
                for index, (system_id, memory_id) in self.names.items()
            ],
            "errors": self.errors,
            "stored_at": stored_at,
        }


def _read_batch(caller: Caller, body: Json, parts: Parts) -> _Batch:
    items = body.get("memories")
    unknown = [key for key in body if key not in ("memories", "system")]
    if unknown:
        raise MemoryInvalid(f"{unknown[0][:40]!r} is not known", hint="known: memories, system")
    if not isinstance(items, list) or len(items) > BATCH_MAX:
        raise MemoryInvalid(f"memories is not a list of at most {BATCH_MAX}")
    now, for_all = parts.now(), {"system": body.get("system")}
    batch = _Batch(len(items))
    for index, item in enumerate(items):
        try:
            record = as_spoken(caller, read_memory(item, now=now))
            system_id = target_system(caller, {**item, **for_all}, parts.sources)
            batch.add(index, system_id, record)
        except (MemoryInvalid, Forbidden) as error:
            told = item.get("memory_id") if isinstance(item, dict) else None
            memory_id = whole(told) if isinstance(told, str) else None
            batch.errors.append({"index": index, "memory_id": memory_id, "error": str(error)})
    return batch


def _key(caller: Caller, key: str | None, body: Json) -> Key | None:
    if key is None:
        return None
    said = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    return Key(caller.name, key, hashlib.sha256(said).hexdigest())


async def _done(future: Future[Stored]) -> Stored:
    return await asyncio.wrap_future(future)
