"""The routes by which agents add memories and read them."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from fastapi import Body, FastAPI, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from recall_daemon.agents.incoming import BATCH_MAX, LABEL_MAX_CHARS, MEMORY_TIER, MEMORY_TYPE
from recall_daemon.agents.memories import CHILDREN, LIMIT_MAX, SharedMemories, SortField
from recall_daemon.operations import Json
from recall_daemon.serve.agents.actor import ActorOf
from recall_daemon.serve.agents.keyed import KeyOf
from recall_daemon.serve.guard import Allowance
from recall_daemon.serve.memory_shapes import Name, flat_schema
from recall_daemon.store.children import Order

_JSON: Final = frozenset({"application/json"})
_ONE_BYTES: Final = 8 << 20
ALLOWANCES: Final = (
    Allowance("POST", re.compile(r"/v1/agent/memories"), _JSON, _ONE_BYTES),
    Allowance("PATCH", re.compile(r"/v1/agent/memories/[\s\S]+"), _JSON, _ONE_BYTES),
    Allowance("POST", re.compile(r"/v1/agent/memories/batch"), _JSON, 32 << 20),
)

Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX)]
_Label = Annotated[str, Field(min_length=1, max_length=LABEL_MAX_CHARS)]


class AddedMemory(BaseModel):
    """A memory that an agent adds; it goes to the system of its token."""

    model_config = ConfigDict(extra="forbid")

    content: Annotated[str, Field(min_length=1)]
    memory_type: _Label = MEMORY_TYPE
    memory_tier: Literal["short", "medium", "long"] = MEMORY_TIER
    importance: Annotated[float, Field(ge=0, le=1)] = 0.5
    metadata: dict[str, Any] = {}
    tags: list[Name] = []
    parent_id: Name | None = None
    category: _Label | None = None
    memory_id: Annotated[str | None, Field(min_length=1, max_length=512)] = None


class AddedBatch(BaseModel):
    """All of them are stored, or none."""

    model_config = ConfigDict(extra="forbid")

    memories: Annotated[list[AddedMemory], Field(min_length=1, max_length=BATCH_MAX)]


class Ids(BaseModel):
    """Each `MEMORY_ID`, or `SYSTEM/MEMORY_ID`."""

    model_config = ConfigDict(extra="forbid")

    ids: Annotated[list[str], Field(max_length=BATCH_MAX)]


# Checked in `agents.incoming`, which says in one sentence what is wrong.
_One = Annotated[Json, WithJsonSchema(flat_schema(AddedMemory)), Body()]
_Batch = Annotated[Json, WithJsonSchema(flat_schema(AddedBatch)), Body()]


def install(app: FastAPI, memories: SharedMemories) -> None:
    _add(app, memories)
    _read(app, memories)


def _add(app: FastAPI, memories: SharedMemories) -> None:
    @app.post("/v1/agent/memories")
    def add(actor: ActorOf, key: KeyOf, body: _One) -> JSONResponse:
        """→ `{memory_id, system_id, version}`; it is durable when this answers."""
        return JSONResponse(memories.add(actor, body, key=key))

    @app.post("/v1/agent/memories/batch")
    def add_batch(actor: ActorOf, key: KeyOf, body: _Batch) -> JSONResponse:
        """→ `{memory_ids, memories}`, in the order of the request: all of them, or none."""
        return JSONResponse(memories.add_batch(actor, body, key=key))


def _read(app: FastAPI, memories: SharedMemories) -> None:
    @app.post("/v1/agent/memories/get")
    def get_many(actor: ActorOf, body: Ids) -> JSONResponse:
        """→ `{memories, count, missing}`; what may not be seen is missing, as what is not there."""
        return JSONResponse(memories.get_many(actor, body.ids))

    @app.get("/v1/agent/memories/{memory_id:whole}")
    def get(actor: ActorOf, memory_id: str) -> JSONResponse:
        """→ `{memory}`, by `MEMORY_ID` or `SYSTEM/MEMORY_ID`."""
        return JSONResponse(memories.get(actor, memory_id))

    @app.get("/v1/agent/children/{memory_id:whole}")
    def children(
        actor: ActorOf,
        memory_id: str,
        limit: Limit = CHILDREN,
        sort_field: SortField = "created_at",
        sort_order: Order = "desc",
    ) -> JSONResponse:
        """→ `{results, count}`: the memories whose parent it is."""
        return JSONResponse(
            memories.children(
                actor, memory_id, limit=limit, sort_field=sort_field, sort_order=sort_order
            )
        )
