"""The routes for sessions, and for groups of memories."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Body, FastAPI, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from recall_daemon.agents.actor import NAME_MAX_CHARS
from recall_daemon.agents.groups import DESCRIPTION_MAX_CHARS, LIMIT, Groups
from recall_daemon.agents.incoming import BATCH_MAX
from recall_daemon.agents.sessions import Sessions
from recall_daemon.operations import Json
from recall_daemon.serve.agents.actor import ActorOf
from recall_daemon.serve.agents.keyed import KeyOf
from recall_daemon.serve.agents.memories import Limit
from recall_daemon.serve.agents.relations import Number
from recall_daemon.serve.memory_shapes import flat_schema

_Ids = Annotated[list[str], Field(max_length=BATCH_MAX)]


class NewSession(BaseModel):
    """Without `session_id` it gets a new one."""

    model_config = ConfigDict(extra="forbid")

    session_id: Annotated[str | None, Field(min_length=1, max_length=NAME_MAX_CHARS)] = None
    metadata: dict[str, Any] = {}


class NewGroup(BaseModel):
    """A group, and what is in it from the beginning."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=200)]
    description: Annotated[str | None, Field(max_length=DESCRIPTION_MAX_CHARS)] = None
    memory_ids: _Ids = []


class NewMembers(BaseModel):
    """Each `MEMORY_ID`, or `SYSTEM/MEMORY_ID`."""

    model_config = ConfigDict(extra="forbid")

    memory_ids: _Ids


_Session = Annotated[Json, WithJsonSchema(flat_schema(NewSession)), Body()]
_Group = Annotated[Json, WithJsonSchema(flat_schema(NewGroup)), Body()]


def install(app: FastAPI, groups: Groups, sessions: Sessions) -> None:
    @app.post("/v1/agent/sessions")
    def create_session(actor: ActorOf, key: KeyOf, body: _Session) -> JSONResponse:
        """→ `{session_id}`, to be sent as `X-Recall-Session`."""
        return JSONResponse(sessions.create(actor, body, key=key))

    @app.post("/v1/agent/groups")
    def create(actor: ActorOf, key: KeyOf, body: _Group) -> JSONResponse:
        """→ `{group_id}`, a number."""
        return JSONResponse(groups.create(actor, body, key=key))

    @app.get("/v1/agent/groups")
    def listed(
        actor: ActorOf,
        memory_id: str | None = None,
        limit: Limit = LIMIT,
        before: Annotated[int | None, Query(ge=1, lt=1 << 63)] = None,
    ) -> JSONResponse:
        """→ `{groups, next_before}`, newest first: all, or those that a memory is in."""
        return JSONResponse(groups.list(actor, memory_id, limit=limit, before=before))

    @app.post("/v1/agent/groups/{group_id}/members")
    def add(actor: ActorOf, key: KeyOf, group_id: Number, body: NewMembers) -> JSONResponse:
        """→ `{added}`: how many were not in it before. All of them, or none."""
        return JSONResponse(groups.add(actor, group_id, body.memory_ids, key=key))

    @app.get("/v1/agent/groups/{group_id}/memories")
    def memories(actor: ActorOf, group_id: Number, limit: Limit = LIMIT) -> JSONResponse:
        """→ `{results, count}`: those that may be seen, in the order in which they were added."""
        return JSONResponse(groups.memories(actor, group_id, limit=limit))
