"""Which paths are pages, and NiceGUI behind them, which is loaded with the first one.

Loading it takes half a second and 22 MiB: a hub that nobody looks at pays for neither.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from typing import Any

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, Match

from recall_daemon.errors import Unauthorized
from recall_daemon.serve.dashboard.dashboard import Dashboard
from recall_daemon.serve.guard import App, Message, Receive, Scope, Send
from recall_daemon.serve.who import caller_of

PAGES = frozenset({"/", "/search", "/memory", "/quarantine", "/jobs", "/agents", "/conflicts"})
# NiceGUI's scripts and styles, and the page's connection.
_ASSETS, _SOCKET = "/_nicegui/", "/_nicegui_ws/"
STATE = "dashboard"


def install(app: FastAPI, dashboard: Dashboard) -> None:
    """Serve the pages from `app`, before whatever else is mounted at `/`.

    They end with the app's lifespan.
    """
    pages = Pages(dashboard)
    app.router.routes.insert(0, PageRoute(pages))
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(outer: FastAPI) -> AsyncIterator[Any]:
        async with pages.open(), inner(outer) as state:
            yield state

    app.router.lifespan_context = lifespan


class PageRoute(BaseRoute):
    """The pages' own paths and no others, for http and websocket."""

    path = "/"
    name = "dashboard"

    def __init__(self, pages: App) -> None:
        self._pages = pages

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        path = scope["path"]
        ours = path.startswith(_SOCKET) or (
            scope["type"] == "http" and (path in PAGES or path.startswith(_ASSETS))
        )
        return (Match.FULL if ours else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._pages(scope, receive, send)


class Pages:
    """NiceGUI's app for one hub. One hub of a process has its pages open at a time."""

    def __init__(self, dashboard: Dashboard) -> None:
        self._dashboard = dashboard
        self._starting = asyncio.Lock()
        self._running = AsyncExitStack()
        self._app: App | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Samples rates meanwhile; at the end everything stops that a page started."""
        sampling = asyncio.create_task(self._dashboard.rates.run())
        try:
            yield
        finally:
            sampling.cancel()
            await asyncio.gather(sampling, return_exceptions=True)
            await self._running.aclose()
            self._app = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if caller_of(HTTPConnection(scope)) is None:
            raise Unauthorized("this needs a token", hint="see `recalld token create`")
        app = self._app or await self._start()
        scope.setdefault("state", {})[STATE] = self._dashboard
        await app(scope, receive, _with_headers(send, _host(scope)))

    async def _start(self) -> App:
        async with self._starting:
            if self._app is not None:
                return self._app
            site = await run_in_threadpool(import_module, "recall_daemon.serve.dashboard.site")
            app: App = await self._running.enter_async_context(site.running())
            self._app = app
            return app


def _host(scope: Scope) -> str:
    """As the browser named it; the guard has made sure that it is ours."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == b"host"), "")


def _with_headers(send: Send, host: str) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *_headers(host)]}
        await send(message)

    return sending


def _headers(host: str) -> list[tuple[bytes, bytes]]:
    """NiceGUI's pages carry their own script; a memory's text is never part of one.

    The name of the host is there for browsers whose 'self' does not cover websockets.
    """
    policy = (
        "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
        f"connect-src 'self' ws://{host} wss://{host}; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    return [
        (b"content-security-policy", policy.encode("latin-1")),
        (b"referrer-policy", b"no-referrer"),
    ]
