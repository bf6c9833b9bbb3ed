"""The routes for agents: their slices, their search, and what is counted of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import FastAPI, Path, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from recall_daemon.agents.slices import HITS, LIMIT, SearchAsked, Slices
from recall_daemon.agents.statistics import Statistics
from recall_daemon.search.query import LIMIT_MAX, QUERY_MAX_CHARS
from recall_daemon.serve.agents.actor import ActorOf

_Name = Annotated[str, Path(min_length=1, max_length=200)]
_Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX)]


class AskedSearch(BaseModel):
    """Without a query the newest. `filters`: those of `/v1/search`."""

    model_config = ConfigDict(extra="forbid")

    query: Annotated[str | None, Field(min_length=1, max_length=QUERY_MAX_CHARS)] = None
    memory_type: Annotated[str | None, Field(min_length=1, max_length=100)] = None
    parent_id: Annotated[str | None, Field(min_length=1, max_length=1_000)] = None
    limit: Annotated[int, Field(ge=1, le=LIMIT_MAX)] = HITS
    search_type: Literal["hybrid", "words", "meaning"] = "hybrid"
    include_shared_memories: bool = True
    filters: dict[str, Any] = {}
    min_score: Annotated[float, Field(ge=0, le=3)] = 0.0


def install(app: FastAPI, slices: Slices, statistics: Statistics) -> None:
    _slices(app, slices)
    _statistics(app, statistics)


def _slices(app: FastAPI, slices: Slices) -> None:
    @app.post("/v1/agent/search")
    def search(actor: ActorOf, body: AskedSearch) -> JSONResponse:
        """→ `{results: [{memory, score, is_shared, source_agent, seen_by}], count, degraded}`."""
        asked = SearchAsked(
            query=body.query,
            include_shared=body.include_shared_memories,
            search_type=body.search_type,
            memory_type=body.memory_type,
            parent_id=body.parent_id,
            filters=body.filters,
            limit=body.limit,
            min_score=body.min_score,
        )
        return JSONResponse(slices.search_agent_memories(actor, asked))

    @app.get("/v1/agents/{name}/slice")
    def slice_of(
        actor: ActorOf, name: _Name, limit: _Limit = LIMIT, cursor: str | None = None
    ) -> JSONResponse:
        """→ `{agent_id, memory_slice: [{memory, sync_metadata}], statistics, next_cursor}`."""
        return JSONResponse(slices.get_agent_memory_slice(actor, name, limit=limit, cursor=cursor))


def _statistics(app: FastAPI, statistics: Statistics) -> None:
    @app.get("/v1/agents")
    def agents(actor: ActorOf) -> JSONResponse:
        """→ `{agents}`: those of the settings."""
        return JSONResponse(statistics.agents(actor))

    @app.get("/v1/agents/{name}/allocation")
    def allocation(actor: ActorOf, name: _Name) -> JSONResponse:
        """→ counts and measured bytes of what the agent wrote."""
        return JSONResponse(statistics.get_memory_allocation(actor, name))

    @app.get("/v1/agents/statistics")
    def sync_statistics(actor: ActorOf) -> JSONResponse:
        """→ counts over all agents, for who may read everything."""
        return JSONResponse(statistics.get_sync_statistics(actor))

    @app.get("/v1/agents/coordinator")
    def coordinator(actor: ActorOf) -> JSONResponse:
        """→ the locks that are held and waited for, for who may read everything."""
        return JSONResponse(statistics.get_coordinator_status(actor))
