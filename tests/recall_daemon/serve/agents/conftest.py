"""A hub whose agents are asked over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from recall_daemon.serve.agents.mount import ALLOWANCES
from recall_daemon.serve.gate import Terms
from recall_daemon.serve.guard import Guard

HEADERS = {"agent": "x-recall-agent", "user": "x-recall-user", "session": "x-recall-session"}


@dataclass(frozen=True)
class Agent:
    """Whoever asks, with their headers."""

    http: httpx.AsyncClient
    headers: dict[str, str]

    async def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {**self.headers, **options.pop("headers", {})}
        return await self.http.request(method, f"/v1/{path}", headers=headers, **options)

    async def get(self, path: str, **query: Any) -> Any:
        answer = await self.ask("GET", path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, body: Any, *, key: str | None = None) -> Any:
        headers = {} if key is None else {"idempotency-key": key}
        answer = await self.ask("POST", path, json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def delete(self, path: str, **query: Any) -> Any:
        answer = await self.ask("DELETE", path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def add(self, content: str, **more: Any) -> str:
        """Its id."""
        told = await self.post("agent/memories", {"content": content, **more})
        return str(told["memory_id"])

    async def refused(self, method: str, path: str, **options: Any) -> tuple[int, str]:
        """The status and the code of a problem."""
        answer = await self.ask(method, path, **options)
        assert answer.headers["content-type"] == "application/problem+json", answer.text
        return answer.status_code, answer.json()["code"]


@dataclass(frozen=True)
class Fleet:
    """A hub, and agents of it by their names."""

    hub: Any
    http: httpx.AsyncClient

    def __call__(self, token: str | None = None, **names: str) -> Agent:
        headers = {HEADERS[what]: name for what, name in names.items()}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        return Agent(self.http, headers)


@pytest.fixture
async def fleet(open_test_hub: Any) -> AsyncIterator[Fleet]:
    agents = [{"name": "guard", "restricted_categories": ["secret"]}, {"name": "helper"}]
    async with open_test_hub(agents=agents) as hub:
        app = Guard(hub.app(Terms(loopback_alone=True)), port=8682, allowances=ALLOWANCES)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        url = "http://127.0.0.1:8682"
        async with httpx.AsyncClient(transport=transport, base_url=url) as http:
            yield Fleet(hub, http)
