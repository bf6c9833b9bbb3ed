"""An endpoint that is made with the first message to it: the SDK takes half a second to load, which
no start has to wait for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from recall_daemon.serve.guard import App, Receive, Scope, Send


@dataclass(frozen=True)
class Endpoint:
    """An ASGI app, and what it answers within."""

    answer: App
    running: Callable[[], AbstractAsyncContextManager[None]]


class Late:
    """An ASGI app that answers within `running`. `make` is called in a thread, once.

    Where that fails, every message fails with its error.
    """

    def __init__(self, make: Callable[[], Endpoint]) -> None:
        self._make = make
        self._wanted = asyncio.Event()
        self._over = asyncio.Event()
        self._answer: asyncio.Future[App] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._answer is None:
            raise RuntimeError("the app's lifespan has not begun")
        self._wanted.set()
        answer = await asyncio.shield(self._answer)
        await answer(scope, receive, send)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self._answer = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(self._serve(self._answer))
        try:
            yield
        finally:
            self._over.set()
            if not self._wanted.is_set():
                serving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await serving

    async def _serve(self, answer: asyncio.Future[App]) -> None:
        """One task for all of it: the SDK's own tasks end where they began."""
        await self._wanted.wait()
        try:
            endpoint = await asyncio.to_thread(self._make)
        except Exception as error:
            answer.set_exception(error)
            return
        async with endpoint.running():
            answer.set_result(endpoint.answer)
            await self._over.wait()
