"""Counts, times and logs each request, and gives all that it logs its id. Outermost of all."""

from __future__ import annotations

from time import perf_counter

import structlog
from structlog.contextvars import bound_contextvars

from recall_daemon.metrics import HTTP_REQUESTS, HTTP_SECONDS, REFUSED
from recall_daemon.serve.guard import App, Message, Receive, Scope, Send, request_id_of
from recall_daemon.serve.problem import REQUEST_ID

log = structlog.get_logger(__name__)

# Asked every few seconds by machines.
_ROUTINE = frozenset({"/healthz", "/readyz", "/metrics"})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# The client went before there was an answer.
_GONE = 499


class Observed:
    """Pure ASGI middleware. A websocket is passed on with its id, and neither counted nor timed.

    Logged: method, route template, status, milliseconds to the end, the caller's name; never a
    path, a query string, a header or a body.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        request_id = request_id_of(scope)
        scope.setdefault("state", {})[REQUEST_ID] = request_id
        with bound_contextvars(request_id=request_id):
            if scope["type"] == "websocket":
                await self._app(scope, receive, send)
            else:
                await self._request(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = perf_counter()
        status = _GONE

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                HTTP_SECONDS.labels(route_of(scope)).observe(perf_counter() - started)
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:
            status = 500 if status == _GONE else status
            raise
        finally:
            _tell(scope, status, perf_counter() - started)


def route_of(scope: Scope) -> str:
    """The template of the route that answers, which names no memory and no system."""
    template = getattr(scope.get("route"), "path", None)
    if isinstance(template, str) and template:
        return template
    return "/mcp" if scope["path"].split("/", 2)[1:2] == ["mcp"] else "other"


def _tell(scope: Scope, status: int, seconds: float) -> None:
    route = route_of(scope)
    method = scope["method"] if scope["method"] in _METHODS else "other"
    caller = scope["state"].get("caller")
    HTTP_REQUESTS.labels(route, method, str(status)).inc()
    if status == 401:
        REFUSED.labels("unauthorized").inc()
    elif status == 403 and caller is not None:
        REFUSED.labels("forbidden").inc()
    say = log.debug if route in _ROUTINE else log.info
    say(
        "request",
        method=method,
        route=route,
        status=status,
        ms=round(seconds * 1000, 1),
        caller=getattr(caller, "name", None),
    )
