"""`AsyncMemoryClient`: a hub's memories, from the tasks of one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import httpx

from recall_client.answers import Answer
from recall_client.breaker import Breaker
from recall_client.call import Call
from recall_client.exchange import Said, Send, Step
from recall_client.fences import Held
from recall_client.identity import of
from recall_client.methods import Methods
from recall_client.methods.asking import TIMEOUT_S, Then
from recall_client.methods.locks import LEASE_S, WAIT_S
from recall_client.retries import Retries
from recall_client.wire import Failures, no_answer, options, reply, request


class AsyncMemoryClient(Methods[Coroutine[Any, Any, Answer]]):
    """As `MemoryClient`; its calls are awaited. What asks no hub is not: `set_agent_id`,
    `set_user_id`, `set_session_id`, `get_circuit_breaker_status`, `reset_circuit_breaker`.
    """

    def __init__(
        self,
        hub_url: str,
        token: str | None = None,
        *,
        agent_id: str | None = None,
        user_id: str | None = None,
        session_id: str | None = None,
        timeout_s: float = TIMEOUT_S,
        retries: Retries | None = None,
        breaker: Breaker | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        identity = of(agent_id, user_id, session_id)
        super().__init__(
            hub_url, identity=identity, timeout_s=timeout_s, retries=retries, breaker=breaker
        )
        self._http = httpx.AsyncClient(transport=transport, **options(self.hub_url, token))

    @asynccontextmanager
    async def lock(
        self, memory_id: str, lease_s: float = LEASE_S, wait_s: float = WAIT_S
    ) -> AsyncIterator[Held]:
        """See `MemoryClient.lock`. Tasks that the block starts carry the fence, too."""
        held = Held.of(await self.acquire_lock(memory_id, lease_s, wait_s))
        with self._fences.carried(memory_id, held):
            try:
                yield held
            finally:
                await self.release_lock(memory_id, held.fence)

    async def aclose(self) -> None:
        """Closes its connections. Later calls answer `client_closed`."""
        self._closed = True
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def _ask(self, build: Callable[[], Call], then: Then | None = None) -> Answer:
        steps = self._steps(build)
        said: Said = None
        try:
            while True:
                said = await self._take(steps.send(said))
        except StopIteration as end:
            answer: Answer = end.value
        finally:
            steps.close()
        if then is not None and answer["status"] == "success":
            then(answer)
        return answer

    async def _take(self, step: Step) -> Said:
        if isinstance(step, Send):
            return await self._send(step)
        await asyncio.sleep(step.seconds)
        return None

    async def _send(self, send: Send) -> Said:
        try:
            return reply(await self._http.request(**request(send)))
        except Failures as error:
            return no_answer(error)
