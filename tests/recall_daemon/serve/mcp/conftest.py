"""The tools of a whole hub over HTTP, asked by whichever caller a test wants, on a port of their
own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import httpx2
import pytest
import uvicorn
from fastapi import FastAPI
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult

from recall_daemon.access.caller import LOOPBACK, Caller
from recall_daemon.errors import Forbidden, MemoryNotFound
from recall_daemon.search.reach import Reach
from recall_daemon.serve import forget, problem
from recall_daemon.serve.agents import mount as agents
from recall_daemon.serve.guard import Guard, Receive, Scope, Send
from recall_daemon.serve.mcp import mount
from recall_daemon.serve.mcp.writing import Pull
from recall_daemon.serve.who import CALLER

Json = dict[str, Any]

INSTANCE = Caller("instance", "instance", "laptop", Reach(frozenset({"laptop"})))
OTHER = Caller("other", "instance", "desktop", Reach(frozenset({"desktop"})))
READER = Caller("reader", "reader", None, Reach(frozenset({"laptop"})))
NARROW = Caller("narrow", "reader", None, Reach(frozenset({"laptop"}), frozenset({"kafka"})))
ADMIN = Caller("admin", "admin")
_CALLERS = {caller.name: caller for caller in (LOOPBACK, INSTANCE, OTHER, READER, NARROW, ADMIN)}


class _Gate:
    """Whoever the header `x-caller` says."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            name = dict(scope["headers"]).get(b"x-caller", b"loopback").decode()
            scope.setdefault("state", {})[CALLER] = _CALLERS[name]
        await self._app(scope, receive, send)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass
class Served:
    """A hub's tools on a port. `pulled`: what `sync_instances` was asked for."""

    hub: Any
    url: str
    http: httpx.AsyncClient
    pulled: list[Json] = field(default_factory=list)

    async def post(
        self, path: str, body: Any, *, caller: Caller = LOOPBACK, **headers: str
    ) -> httpx.Response:
        given = {"content-type": "application/json", "x-caller": caller.name, **headers}
        return await self.http.post(path, content=json.dumps(body), headers=given)

    async def tool(
        self, name: str, *, caller: Caller = LOOPBACK, path: str = "/mcp", **arguments: Any
    ) -> Json:
        """A plain call, and what it answers."""
        call = {"method": "tools/call", "params": {"name": name, "arguments": arguments}}
        answer = await self.post(path, call, caller=caller)
        told: Json = answer.json()
        return told

    @asynccontextmanager
    async def client(self, caller: Caller = LOOPBACK, path: str = "/mcp") -> AsyncIterator[Client]:
        """The SDK's own."""
        async with httpx2.AsyncClient(headers={"x-caller": caller.name}) as http:
            transport = streamable_http_client(f"{self.url}{path}", http_client=http)
            async with Client(transport) as client:
                yield client

    async def call(
        self, name: str, *, caller: Caller = LOOPBACK, **arguments: Any
    ) -> CallToolResult:
        async with self.client(caller) as client:
            return await client.call_tool(name, arguments)

    async def names(self) -> list[str]:
        """Of the tools that a client is told."""
        async with self.client() as client:
            return [tool.name for tool in (await client.list_tools()).tools]

    async def follow(self) -> None:
        """Have the index and the vectors follow what was stored."""
        await self.hub.hub.finish()


Serve = Callable[..., AbstractAsyncContextManager[Served]]


@pytest.fixture
def serve() -> Serve:
    """Serves the tools of a test hub."""

    @asynccontextmanager
    async def serving(hub: Any, **sources: str) -> AsyncIterator[Served]:
        asked: list[Json] = []
        app = _app(hub, sources, _recorder(asked))
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            guarded = Guard(_Gate(app), port=port, allowances=(mount.BODY,))
            server = _Server(uvicorn.Config(guarded, log_config=None, access_log=False))
            running = asyncio.create_task(server.serve(sockets=[listener]))
            try:
                url = f"http://127.0.0.1:{port}"
                async with httpx.AsyncClient(base_url=url, timeout=60) as http:
                    yield Served(hub, url, http, asked)
            finally:
                server.should_exit = True
                await running

    return serving


def _app(hub: Any, sources: Json, pull: Pull) -> FastAPI:
    core = hub.hub.core
    app = FastAPI()
    problem.install(
        app,
        {
            Forbidden: 403,
            MemoryNotFound: 404,
            **forget.STATUSES,
            **mount.STATUSES,
            **agents.STATUSES,
        },
    )
    parts = replace(hub.hub.memory_parts(), sources=sources)
    mount.install(app, core.operations, parts, hub.hub.shared, pull)
    return app


def _recorder(asked: list[Json]) -> Pull:
    async def pull(instance_urls: Any, **how: Any) -> Json:
        asked.append({"instance_urls": instance_urls, **how})
        error = {"url": "http://10.0.0.1:8678", "memory_id": None, "error": "it does not answer"}
        return {
            "success": True,
            "memories_fetched": 3,
            "memories_synced": 2,
            "embeddings_generated": 0,
            "errors": [error],
        }

    return pull
