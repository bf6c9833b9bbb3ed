"""The whole hub behind its gate, and agents that call its tools by plain posts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from recall_daemon.access.tokens import Asked
from recall_daemon.serve.gate import Terms
from recall_daemon.serve.guard import Guard
from recall_daemon.serve.mcp import mount

Json = dict[str, Any]

AGENTS = [{"name": "guard", "restricted_categories": ["secret"]}, {"name": "helper"}]


@dataclass(frozen=True)
class Speaker:
    """Whoever calls: by a token, headers, and arguments that go with each call."""

    http: httpx.AsyncClient
    headers: dict[str, str]
    arguments: Json

    async def ask(self, name: str, /, **arguments: Any) -> tuple[int, Json]:
        """The status, and the tool's own object or the problem."""
        call = {"name": name, "arguments": {**self.arguments, **arguments}}
        body = {"method": "tools/call", "params": call}
        answer = await self.http.post(mount.AGENTS, json=body, headers=self.headers)
        told: Json = answer.json()
        return answer.status_code, told

    async def __call__(self, name: str, /, **arguments: Any) -> Json:
        status, told = await self.ask(name, **arguments)
        assert status == 200, told
        return told

    async def refused(self, name: str, /, **arguments: Any) -> tuple[int, str]:
        """The status and the code of the problem."""
        status, told = await self.ask(name, **arguments)
        return status, told["code"]

    async def add(self, content: str, **more: Any) -> str:
        return str((await self("add_memory", content=content, **more))["memory_id"])


@dataclass(frozen=True)
class Tools:
    hub: Any
    http: httpx.AsyncClient

    def __call__(
        self, token: str | None = None, *, headers: dict[str, str] | None = None, **arguments: Any
    ) -> Speaker:
        known = {} if token is None else {"authorization": f"Bearer {token}"}
        return Speaker(self.http, {**known, **(headers or {})}, arguments)

    def token(self, **asked: Any) -> str:
        _, token = self.hub.hub.core.tokens.create(Asked(**asked), actor="test")
        return str(token)


@pytest.fixture
async def tools(open_test_hub: Any) -> AsyncIterator[Tools]:
    async with open_test_hub(agents=AGENTS) as hub:
        app = Guard(hub.app(Terms(loopback_alone=True)), port=8682, allowances=(mount.BODY,))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8682") as http:
            yield Tools(hub, http)
