"""The routes by which a memory's content changes, its versions are read and conflicts resolved."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import Body, FastAPI, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from recall_daemon.agents.changes import read_strategy
from recall_daemon.agents.config import Strategy
from recall_daemon.agents.decisions import Decision
from recall_daemon.agents.editing import Editing, Terms
from recall_daemon.agents.review import LIMIT_MAX, Review
from recall_daemon.agents.review_pages import LIMIT, Asked, conflict_page
from recall_daemon.errors import AgentInvalid
from recall_daemon.operations import Json
from recall_daemon.serve.agents.actor import ActorOf
from recall_daemon.serve.agents.keyed import KeyOf
from recall_daemon.serve.memory_shapes import Name, flat_schema

Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX)]
Fence = Annotated[int | None, Field(ge=0, lt=1 << 63)]
_TERMS: Final = ("base_version", "fence", "strategy")
_CURSOR_MAX_CHARS: Final = 400


class Update(BaseModel):
    """What of a memory becomes something else; what is not named stays."""

    model_config = ConfigDict(extra="forbid")

    content: Annotated[str | None, Field(min_length=1)] = None
    memory_type: Annotated[str | None, Field(min_length=1, max_length=100)] = None
    importance: Annotated[float | None, Field(ge=0, le=1)] = None
    metadata: dict[str, Any] | None = None
    tags: list[Name] | None = None
    category: Annotated[str | None, Field(min_length=1, max_length=100)] = None
    pinned: bool | None = None
    base_version: Name | None = None
    fence: Fence = None
    strategy: Strategy | None = None


class Resolution(BaseModel):
    """One of `strategy`, `choose` and `content`."""

    model_config = ConfigDict(extra="forbid")

    strategy: Strategy | None = None
    choose: Literal["ours", "theirs"] | None = None
    content: Annotated[str | None, Field(min_length=1, max_length=1 << 20)] = None
    fence: Fence = None


class Undo(BaseModel):
    model_config = ConfigDict(extra="forbid")

    fence: Fence = None


_Update = Annotated[Json, WithJsonSchema(flat_schema(Update)), Body()]


def install(app: FastAPI, editing: Editing, review: Review) -> None:
    _change(app, editing, review)
    _conflicts(app, review)


def _change(app: FastAPI, editing: Editing, review: Review) -> None:
    @app.patch("/v1/agent/memories/{memory_id:whole}")
    def update(actor: ActorOf, key: KeyOf, memory_id: str, body: _Update) -> JSONResponse:
        """→ `{memory_id, system_id, version, served, outcome, conflict_id}`.

        outcome: `advanced`, `unchanged`, `merged` with what others changed since `base_version`, or
        `conflict`. Without a `base_version` it is made of what is served.
        """
        changes = {name: value for name, value in body.items() if name not in _TERMS}
        return JSONResponse(editing.update(actor, memory_id, changes, _terms(body), key=key))

    @app.get("/v1/agent/versions/{memory_id:whole}")
    def versions(actor: ActorOf, memory_id: str) -> JSONResponse:
        """→ `{memory_id, system_id, head, versions}`, the newest first."""
        return JSONResponse(review.versions(actor, memory_id))


def _conflicts(app: FastAPI, review: Review) -> None:
    @app.get("/v1/conflicts")
    def listed(
        actor: ActorOf,
        state: Asked = "open",
        limit: Limit = LIMIT,
        cursor: Annotated[str | None, Query(max_length=_CURSOR_MAX_CHARS)] = None,
    ) -> JSONResponse:
        """→ `{conflicts, next_cursor}`, the oldest first."""
        return JSONResponse(conflict_page(review, actor, state, limit, cursor))

    @app.get("/v1/conflicts/{conflict_id}")
    def one(actor: ActorOf, conflict_id: str) -> JSONResponse:
        """A conflict with both sides, what they were made of, and a diff of their texts."""
        return JSONResponse(review.conflict(actor, conflict_id))

    @app.post("/v1/conflicts/{conflict_id}/resolve")
    def resolve(actor: ActorOf, key: KeyOf, conflict_id: str, body: Resolution) -> JSONResponse:
        """→ `{conflict_id, state, resolution, version, open}`: `version` is what is served now."""
        decision = Decision(body.strategy, body.choose, body.content)
        told = review.resolve(actor, conflict_id, decision, fence=body.fence, key=key)
        return JSONResponse(told)

    @app.post("/v1/conflicts/{conflict_id}/undo")
    def undo(
        actor: ActorOf, key: KeyOf, conflict_id: str, body: Undo | None = None
    ) -> JSONResponse:
        """Have a resolved conflict open again; answers as `resolve` does."""
        fence = None if body is None else body.fence
        return JSONResponse(review.undo(actor, conflict_id, fence=fence, key=key))


def _terms(body: Json) -> Terms:
    base, fence = body.get("base_version"), body.get("fence")
    if base is not None and not isinstance(base, str):
        raise AgentInvalid("base_version is not text")
    is_fence = isinstance(fence, int) and not isinstance(fence, bool)
    if fence is not None and not (is_fence and 0 <= fence < 1 << 63):
        raise AgentInvalid("fence is not the number that a lock gave")
    return Terms(base, fence, read_strategy(body.get("strategy")))
