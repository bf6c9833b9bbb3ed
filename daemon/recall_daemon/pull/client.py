"""Asks one instance for its memories, in the protocol that it speaks."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import httpx2

from recall_daemon.pull.answer import ROWS_MAX, Answer, read_answer
from recall_daemon.pull.ask import Protocol, Question, Said
from recall_daemon.pull.bounded import ANSWER_MAX_BYTES, open_http
from recall_daemon.pull.errors import (
    AnswerInvalid,
    InstanceUnreachable,
    NotSpoken,
)
from recall_daemon.pull.instances import normal_url
from recall_daemon.pull.mcp_call import ask_by_mcp
from recall_daemon.pull.memories import newest
from recall_daemon.pull.plain_call import ask_plainly
from recall_wire.errors import RecallError

Json = dict[str, Any]
Sleep = Callable[[float], Awaitable[None]]

TIMEOUT_S = 30.0
TRIES = 3
BACKOFF_S = 0.5

_OTHER: dict[Protocol, Protocol] = {"mcp": "plain", "plain": "mcp"}
_HEALTH_PATHS = ("/healthz", "/health")


class MemorySyncClient:
    """An async context manager over one instance; its connections are pooled.

    `timeout`: seconds that one question may take, tries and all. `speaks`: the protocol that it
    spoke last; found out where None, or wrong. Raises `PullInvalid` for a wrong address.
    """

    def __init__(
        self,
        base_url: str,
        timeout: float = TIMEOUT_S,
        *,
        token: str | None = None,
        speaks: Protocol | None = None,
        max_bytes: int = ANSWER_MAX_BYTES,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.base_url = normal_url(base_url)
        self.timeout = timeout
        self.speaks = speaks
        self._max_bytes = max_bytes
        self._sleep = sleep
        self._http, self._bounded = open_http(timeout_s=timeout, token=token, max_bytes=max_bytes)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def search_memories(
        self,
        query: str = "",
        limit: int = 100,
        project: str | None = None,
        min_score: float = 0.0,
    ) -> list[Json]:
        """The memories as the instance gives them. Raises what `ask` raises."""
        return (await self.ask(Question(query, limit, min_score, project))).memories

    async def get_recent_memories(self, hours: int = 24, limit: int = 100) -> list[Json]:
        """Those of the last hours, and those that do not say when they are of."""
        since = datetime.now(UTC) - timedelta(hours=hours)
        found = await self.search_memories(limit=min(2 * limit, ROWS_MAX))
        return newest(found, since)[:limit]

    async def check_health(self) -> Json:
        """`{url, healthy, detail}`. Read-only; raises nothing that the instance does."""
        try:
            async with asyncio.timeout(self.timeout):
                healthy, detail = await self._health()
        except (RecallError, httpx2.HTTPError, TimeoutError) as error:
            healthy, detail = False, str(self._meaning(error))
        return {"url": self.base_url, "healthy": healthy, "detail": detail}

    async def _health(self) -> tuple[bool, str]:
        for path in _HEALTH_PATHS:
            self._bounded.begin()
            response = await self._http.get(f"{self.base_url}{path}")
            if response.is_success:
                return True, f"{path} answers"
        await self._tried(Question(limit=1))
        return True, f"it speaks {self.speaks}"

    async def ask(self, question: Question) -> Answer:
        """Ask `quick_search`, again with backoff where that may help, and read its answer.

        Raises `InstanceUnreachable`, `InstanceRefused`, `AnswerInvalid`.
        """
        try:
            async with asyncio.timeout(self.timeout):
                said = await self._retried(question)
        except TimeoutError as error:
            raise self._late() from error
        answer = await asyncio.to_thread(read_answer, said.result)
        answer.name = answer.name or said.name
        return answer

    async def _retried(self, question: Question) -> Said:
        for earlier in range(TRIES):
            try:
                return await self._tried(question)
            except InstanceUnreachable:
                if earlier == TRIES - 1:
                    raise
            await self._sleep(BACKOFF_S * 2**earlier * random.uniform(0.5, 1))
        raise AssertionError("the last try returns or raises")

    async def _tried(self, question: Question) -> Said:
        """By the protocol it spoke last, MCP first; else by the other one."""
        first: Protocol = self.speaks or "mcp"
        try:
            return await self._spoken(first, question)
        except (NotSpoken, InstanceUnreachable) as error:
            try:
                return await self._spoken(_OTHER[first], question)
            except NotSpoken:
                raise _whole(error) from None
            except InstanceUnreachable:
                raise error from None

    async def _spoken(self, protocol: Protocol, question: Question) -> Said:
        self._bounded.begin()
        try:
            if protocol == "mcp":
                said = await ask_by_mcp(
                    self.base_url, self._http, question, max_bytes=self._max_bytes
                )
            else:
                said = await ask_plainly(self.base_url, self._http, question)
        except (RecallError, httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise self._meaning(error) from error
        self.speaks = protocol
        return said

    def _meaning(self, error: Exception) -> RecallError:
        """What the instance did, which the MCP client may have made something else of."""
        if self._bounded.failure is not None:
            return self._bounded.failure
        if isinstance(error, RecallError):
            return error
        if isinstance(error, httpx2.TimeoutException | TimeoutError):
            return self._late()
        if isinstance(error, httpx2.TransportError):
            return InstanceUnreachable(f"it does not answer: {_words(error)}")
        return AnswerInvalid(f"its answer is no HTTP: {_words(error)}")

    def _late(self) -> InstanceUnreachable:
        return InstanceUnreachable(f"no answer in {self.timeout:g} seconds")


def _whole(error: RecallError) -> RecallError:
    """Neither protocol is spoken there."""
    if isinstance(error, NotSpoken):
        return AnswerInvalid(
            "it understands neither MCP nor a plain post", hint="is that the right address?"
        )
    return error


def _words(error: Exception) -> str:
    return str(error)[:200] or type(error).__name__
