"""Instances to pull from: a real MCP server, a plain one, and any that answers with given bytes."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from mcp.server.mcpserver import MCPServer

Json = dict[str, Any]
App = Callable[..., Awaitable[None]]

# What a Session-Buddy of today answers, and one of the releases before.
TOP_ONE = (
    "🔍 Quick search for: 'x'\n📊 Found results (showing top 1)\n📝 Use WAL mode\nfor the queue\n"
    "📁 Project: queue\n⭐ Relevance: 0.91\n📅 Date: 2026-01-01T10:00:00"
)
BEST = (
    "🔍 **3 results** for 'x'\n\n**Top Result** (score: 0.8):\nUse WAL mode\n\nfor the queue..."
    "\n\n💡 Use get_more_results to see additional 2 results"
)
NUMBERED = (
    "🔍 **Results 1-2** for 'x'\n\n**1.** (2026-01-01T10:00:00) first one...\n\n"
    "**2.** second\none...\n\n💡 4 more results available"
)
NOTHING = "🔍 No results found for 'x'"


def memory(number: int, **changes: object) -> Json:
    """A memory as instances give it, of 9:00 on the second day of 2026."""
    told = {
        "id": f"m{number}",
        "content": f"memory {number}",
        "created_at": "2026-01-02T09:00:00Z",
        "tags": ["a"],
        "similarity": 0.5,
    }
    return told | changes


@asynccontextmanager
async def served(app: App) -> AsyncIterator[str]:
    """An app on a port of its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=0, ws="none")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listener]))
    while not server.started:
        await asyncio.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
        listener.close()


@dataclass
class Seen:
    """The bodies of the posts that reach an app, and their headers."""

    app: App
    bodies: list[Json] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    async def __call__(self, scope: Json, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        body = await whole_body(receive)
        self.bodies.append(json.loads(body))
        self.headers.append({k.decode(): v.decode() for k, v in scope["headers"]})
        parts = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Json:
            return parts.pop() if parts else await receive()

        await self.app(scope, again, send)

    def asked(self) -> list[Json]:
        """The arguments of each call of the tool."""
        calls = [body["params"] for body in self.bodies if body.get("method") == "tools/call"]
        return [call["arguments"] for call in calls]


def mcp_instance(answer: Callable[[], Any], *, name: str = "laptop-7", limited: bool = True) -> App:
    """Made with the SDK. Not `limited`: its tool takes no limit, as that of a Session-Buddy."""
    server = MCPServer(name, log_level="CRITICAL")

    def with_limit(query: str, limit: int = 5, min_score: float = 0.7) -> Any:
        return answer()

    def without_limit(query: str, min_score: float = 0.7, project: str | None = None) -> Any:
        return answer()

    server.tool(name="quick_search")(with_limit if limited else without_limit)
    return server.streamable_http_app()


def plain_instance(answer: Callable[[], object], status: int = 500) -> App:
    """Takes posts without an envelope. What has one it answers with `status`."""

    async def app(scope: Json, receive: Any, send: Any) -> None:
        body = json.loads(await whole_body(receive) or b"{}")
        if scope["type"] != "http":
            return
        if "jsonrpc" in body or scope["path"] != "/mcp":
            await _send(send, status, b'{"detail": "no"}')
        else:
            await _send(send, 200, json.dumps(answer()).encode())

    return app


def saying(
    data: bytes, content_type: str = "application/json", status: int = 200, **headers: str
) -> App:
    """Answers everything with the same bytes."""

    async def app(scope: Json, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await whole_body(receive)
            await _send(send, status, data, content_type, headers)

    return app


def endless(content_type: str, chunk: bytes) -> App:
    """An answer without an end."""

    async def app(scope: Json, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        await whole_body(receive)
        await _start(send, 200, content_type, {})
        while True:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await asyncio.sleep(0)

    return app


def hanging() -> App:
    """Never answers."""

    async def app(scope: Json, receive: Any, send: Any) -> None:
        while scope["type"] == "http" and (await receive())["type"] != "http.disconnect":
            pass

    return app


async def whole_body(receive: Any) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


async def _send(
    send: Any,
    status: int,
    data: bytes,
    content_type: str = "application/json",
    headers: dict[str, str] | None = None,
) -> None:
    await _start(send, status, content_type, headers or {})
    await send({"type": "http.response.body", "body": data})


async def _start(send: Any, status: int, content_type: str, headers: dict[str, str]) -> None:
    told = {"content-type": content_type, **headers}
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in told.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
