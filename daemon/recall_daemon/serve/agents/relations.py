"""The routes for relationships between memories."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Body, FastAPI, Path, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from recall_daemon.agents.incoming import LABEL_MAX_CHARS
from recall_daemon.agents.relations import LIMIT, STRENGTH, Asked, Relations
from recall_daemon.operations import Json
from recall_daemon.serve.agents.actor import ActorOf
from recall_daemon.serve.agents.keyed import KeyOf
from recall_daemon.serve.agents.memories import Limit
from recall_daemon.serve.memory_shapes import flat_schema

NUMBER_MAX: Final = (1 << 63) - 1

# What the store can hold.
Number = Annotated[int, Path(ge=0, le=NUMBER_MAX)]
Fence = Annotated[int | None, Query(ge=0, le=NUMBER_MAX)]


class AddedRelationship(BaseModel):
    """`fence`: of the lock on `from_id`, where there is one."""

    model_config = ConfigDict(extra="forbid")

    from_id: str
    to_id: str
    type: Annotated[str, Field(min_length=1, max_length=LABEL_MAX_CHARS)]
    strength: Annotated[float, Field(ge=0, le=1)] = STRENGTH
    fence: int | None = None


_Body = Annotated[Json, WithJsonSchema(flat_schema(AddedRelationship)), Body()]


def install(app: FastAPI, relations: Relations) -> None:
    @app.post("/v1/agent/relationships")
    def add(actor: ActorOf, key: KeyOf, body: _Body) -> JSONResponse:
        """→ `{relationship_id}`; the same again updates its strength."""
        return JSONResponse(relations.add(actor, body, key=key))

    @app.delete("/v1/agent/relationships/{relationship_id}")
    def remove(
        actor: ActorOf, key: KeyOf, relationship_id: Number, fence: Fence = None
    ) -> JSONResponse:
        """→ `{relationship_id}`, of one that is no more."""
        return JSONResponse(relations.remove(actor, relationship_id, fence=fence, key=key))

    @app.get("/v1/agent/relationships/{memory_id:whole}")
    def related(
        actor: ActorOf,
        memory_id: str,
        type: str | None = None,
        direction: Asked = "both",
        limit: Limit = LIMIT,
    ) -> JSONResponse:
        """→ `{related_memories: [{relationship, memory}], count}`, the strongest first."""
        return JSONResponse(
            relations.related(actor, memory_id, type_=type, direction=direction, limit=limit)
        )
