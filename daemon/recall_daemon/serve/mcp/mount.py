"""Puts the tools into the hub's app: at `/mcp` and `/mcp/agents` as MCP, and as the posts that
instances send."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

from fastapi import FastAPI
from starlette.routing import Route

from recall_daemon.agents.shared import Shared
from recall_daemon.operations import Operations
from recall_daemon.serve.guard import Allowance
from recall_daemon.serve.mcp import plain
from recall_daemon.serve.mcp.agents.tools import INSTRUCTIONS as AGENT_INSTRUCTIONS
from recall_daemon.serve.mcp.agents.tools import agent_tools
from recall_daemon.serve.mcp.late import Endpoint, Late
from recall_daemon.serve.mcp.plain import EnvelopePath, McpPath, ToolPath
from recall_daemon.serve.mcp.reading import Reading
from recall_daemon.serve.mcp.tool import Shown, Toolbox
from recall_daemon.serve.mcp.writing import Pull, Writing
from recall_daemon.serve.memories import Parts

STATUSES = plain.STATUSES

AGENTS: Final = "/mcp/agents"

_PUSHES: Final = ("store_memory", "batch_store_memories")
# Instances put their own path behind whatever address of the hub they were given.
_ENVELOPES: Final = ("/mcp/v1", "/mcp/mcp/v1")

BODY: Final = Allowance(
    "POST",
    re.compile(rf"(/mcp)?/({'|'.join(_PUSHES)})|/mcp(/agents)?|(/mcp){{1,2}}/v1"),
    frozenset({"application/json"}),
    plain.BODY_MAX_BYTES,
)


def install(
    app: FastAPI, hub: Operations, parts: Parts, shared: Shared, pull: Pull | None = None
) -> None:
    """Add the paths to an app whose errors are answered as problems, with `STATUSES`, and what
    serves MCP to the app's lifespan. Without `pull` nothing is pulled from instances.

    Every tool can be called at either endpoint. They differ in what they tell a model of: dozens of
    tools swamp one that only wants to search.
    """
    reading = Reading(hub, parts.memories)
    writing = Writing(parts.posts, parts.forgetting, parts.sources, parts.now, pull)
    common, agents = [*reading.tools(), *writing.tools()], agent_tools(shared)
    tools = Toolbox([*common, *agents])
    shown = {"/mcp": Shown(common), AGENTS: Shown(agents, AGENT_INSTRUCTIONS)}
    endpoints: dict[str, plain.Posts] = {}
    for path, one in shown.items():
        late = Late(partial(_endpoint, tools, one))
        endpoints[path] = McpPath(tools, late)
        _run_with(app, late)
    endpoints |= {path: EnvelopePath(tools) for path in _ENVELOPES}
    for name in _PUSHES:
        endpoints |= {path: ToolPath(tools, name) for path in (f"/{name}", f"/mcp/{name}")}
    for path, endpoint in endpoints.items():
        app.router.routes.append(Route(path, endpoint=endpoint, include_in_schema=False))


def _endpoint(tools: Toolbox, shown: Shown) -> Endpoint:
    from recall_daemon.serve.mcp.server import make_endpoint

    return make_endpoint(tools, shown, plain.BODY_MAX_BYTES)


def _run_with(app: FastAPI, late: Late) -> None:
    before = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(running: Any) -> AsyncIterator[Mapping[str, Any]]:
        async with before(running) as state, late.running():
            yield state or {}

    app.router.lifespan_context = lifespan
