"""A hub that answers what a test says, and both clients before it, called the same way."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from recall_client import AsyncMemoryClient, MemoryClient
from recall_client.breaker import Breaker
from recall_client.retries import Retries

URL = "http://hub:8682"

Says = Callable[[httpx.Request], httpx.Response]


@dataclass
class SaidHub:
    """Answers what `says` returns, or with what is in `next_`, first to last; an exception there is
    a failure of the network."""

    says: Says = lambda _: httpx.Response(200, json={})
    next_: list[httpx.Response | Exception] = field(default_factory=list)
    asked: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if not self.next_:
            return self.says(request)
        said = self.next_.pop(0)
        if isinstance(said, Exception):
            raise said
        return said

    @property
    def last(self) -> httpx.Request:
        return self.asked[-1]

    @property
    def body(self) -> Any:
        return json.loads(self.last.content)

    def keys(self) -> list[str | None]:
        return [request.headers.get("idempotency-key") for request in self.asked]


@dataclass
class Clock:
    seconds: float = 1_000.0

    def __call__(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)


class Awaiting:
    """An `AsyncMemoryClient` that is called as the other one is."""

    def __init__(self, client: AsyncMemoryClient, runner: asyncio.Runner) -> None:
        self.client = client
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.client, name)
        if not callable(found):
            return found

        def call(*args: Any, **named: Any) -> Any:
            answer = found(*args, **named)
            return self._runner.run(answer) if inspect.iscoroutine(answer) else answer

        return call

    def close(self) -> None:
        self._runner.run(self.client.aclose())


@pytest.fixture
def hub() -> SaidHub:
    return SaidHub()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def waits() -> list[float]:
    """The longest that each wait between two tries could have been."""
    return []


@pytest.fixture(params=["sync", "async"])
def open_client(
    request: pytest.FixtureRequest, hub: SaidHub, clock: Clock, waits: list[float]
) -> Iterator[Callable[..., Any]]:
    opened: list[Any] = []

    def no_wait(_: float, longest_s: float) -> float:
        waits.append(longest_s)
        return 0.0

    def open_(url: str = URL, token: str | None = None, **options: Any) -> Any:
        options.setdefault("transport", httpx.MockTransport(hub))
        options.setdefault("retries", Retries(uniform=no_wait, monotonic=clock))
        options.setdefault("breaker", Breaker(monotonic=clock, now=clock.now))
        if request.param == "sync":
            opened.append(MemoryClient(url, token, **options))
        else:
            opened.append(Awaiting(AsyncMemoryClient(url, token, **options), runner))
        return opened[-1]

    with asyncio.Runner() as runner:
        yield open_
        for client in opened:
            client.close()


@pytest.fixture
def client(open_client: Callable[..., Any]) -> Any:
    return open_client()
