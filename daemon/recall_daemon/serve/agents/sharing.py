"""The routes for shares of one memory, and for rules that share by category and tag."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import FastAPI, Path, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from recall_daemon.agents.share_rules import LABEL_MAX_CHARS, RuleAsked, ShareRules
from recall_daemon.agents.sharing import LIFE_MAX, LIMIT, LIMIT_MAX, TARGETS_MAX, Sharing
from recall_daemon.serve.agents.actor import ActorOf
from recall_daemon.serve.agents.keyed import KeyOf

_Agent = Annotated[str, Field(min_length=1, max_length=200)]
_Agents = Annotated[list[_Agent], Field(min_length=1, max_length=TARGETS_MAX)]
_Label = Annotated[str, Field(min_length=1, max_length=LABEL_MAX_CHARS)]
_Number = Annotated[int, Path(ge=1, lt=1 << 63)]
_Before = Annotated[int | None, Query(ge=1, lt=1 << 63)]


class AskedShare(BaseModel):
    """`memory_id`: `MEMORY_ID`, or `SYSTEM/MEMORY_ID`."""

    model_config = ConfigDict(extra="forbid")

    memory_id: Annotated[str, Field(min_length=1, max_length=1_000)]
    agents: _Agents
    permission: Literal["read", "write"] = "read"
    expires_in_s: Annotated[float | None, Field(gt=0, le=LIFE_MAX.total_seconds())] = None


class AskedRule(BaseModel):
    """A category, a tag, or both; `targets`: agents, or `*` for every one."""

    model_config = ConfigDict(extra="forbid")

    source_agent: _Agent | None = None
    category: _Label | None = None
    tag: _Label | None = None
    targets: _Agents


def install(app: FastAPI, sharing: Sharing, rules: ShareRules) -> None:
    _shares(app, sharing)
    _rules(app, rules)


def _shares(app: FastAPI, sharing: Sharing) -> None:
    @app.post("/v1/shares")
    def share(actor: ActorOf, key: KeyOf, body: AskedShare) -> JSONResponse:
        """Let agents see a memory, or change it → `{share_ids, memory_id, system_id}`.

        By who may write it. An agent that has a share keeps it, as it is said now.
        """
        told = sharing.share_with_agents(
            actor,
            body.memory_id,
            body.agents,
            permission=body.permission,
            expires_in_s=body.expires_in_s,
            key=key,
        )
        return JSONResponse(told)

    @app.get("/v1/shares")
    def shares(
        actor: ActorOf,
        memory_id: str | None = None,
        limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = LIMIT,
        before: _Before = None,
    ) -> JSONResponse:
        """→ `{shares, next_before}`: live ones, of a memory or of the agent, newest first."""
        return JSONResponse(sharing.list(actor, memory_id, limit=limit, before=before))

    @app.delete("/v1/shares/{share_id}")
    def revoke(actor: ActorOf, key: KeyOf, share_id: _Number) -> JSONResponse:
        """From the next read on it is gone. May be repeated."""
        return JSONResponse(sharing.revoke(actor, share_id, key=key))


def _rules(app: FastAPI, rules: ShareRules) -> None:
    @app.post("/v1/share-rules")
    def add(actor: ActorOf, key: KeyOf, body: AskedRule) -> JSONResponse:
        """Let agents see whatever has a category, a tag, or both → `{rule_id}`. For admins."""
        asked = RuleAsked(body.targets, body.source_agent, body.category, body.tag)
        return JSONResponse(rules.add(actor, asked, key=key))

    @app.get("/v1/share-rules")
    def listed(actor: ActorOf) -> JSONResponse:
        """→ `{rules}`: live ones, oldest first; to an agent those that are for it."""
        return JSONResponse(rules.list(actor))

    @app.delete("/v1/share-rules/{rule_id}")
    def revoke(actor: ActorOf, key: KeyOf, rule_id: _Number) -> JSONResponse:
        """From the next read on it is gone. May be repeated. For admins."""
        return JSONResponse(rules.revoke(actor, rule_id, key=key))
