"""Lets nobody in without a token, once there are tokens; says who it is that comes in.

guard (web pages, bodies)  →  gate (who, how often)  →  routes (what they may)
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response

from recall_daemon.access.caller import LOCAL, LOOPBACK, Caller
from recall_daemon.access.tokens import Tokens
from recall_daemon.errors import AgentInvalid, Forbidden
from recall_daemon.serve.guard import App, Message, Receive, Scope, Send
from recall_daemon.serve.problem import MEDIA_TYPE, REQUEST_ID, problem, problem_bytes
from recall_daemon.serve.rate import Rate
from recall_daemon.serve.spoken import spoken_for
from recall_daemon.serve.who import CALLER

COOKIE: Final = "recalld_token"
LOGIN: Final = "/login"
# Answered to anybody: the routes see to it that nothing is told.
OPEN: Final = frozenset({"/healthz", "/readyz", LOGIN})
_UNCOUNTED = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True)
class Terms:
    """On what terms callers come in.

    `loopback_alone`: nothing but this machine reaches the port, so that without tokens whoever
    does may do everything. `local_secret`: proves a command of this machine. `rate_per_minute`:
    requests of the API of one caller, 0 for no limit; `rate`, where given, counts them instead and
    can be changed. `tls`: the browser's cookie travels over TLS.
    """

    loopback_alone: bool = True
    local_secret: str | None = None
    rate_per_minute: int = 0
    rate: Rate | None = None
    tls: bool = False


@dataclass(frozen=True, slots=True)
class _Given:
    """A token that came, and whether a browser's cookie brought it."""

    token: str
    by_cookie: bool = False


class Gate:
    """Pure ASGI middleware, for http and websocket, inside the guard; the outermost of the app's.

    The caller is in `scope["state"]["caller"]`. A connection that lasts ends when its token does.
    """

    def __init__(self, app: App, *, tokens: Tokens, terms: Terms) -> None:
        self._app = app
        self._tokens = tokens
        self._terms = terms
        self._rate = terms.rate or Rate(terms.rate_per_minute)
        secret = terms.local_secret
        self._local = hashlib.sha256(secret.encode()).digest() if secret else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        given = _given(scope)
        caller = self._caller(given)
        if caller is None and not _is_open(scope):
            await _refuse(scope, receive, send, given)
            return
        try:
            speaker = caller and spoken_for(scope, caller, self._tokens.sight)
        except (AgentInvalid, Forbidden) as error:
            await _refuse_speaker(scope, receive, send, error)
            return
        scope.setdefault("state", {})[CALLER] = speaker
        wait_s = self._wait_s(scope, caller)
        if wait_s:
            await _slow_down(scope, receive, send, wait_s)
            return
        stay = _Stay(receive, send, scope["type"], lambda: self._caller(given) == caller)
        await self._app(scope, stay.receive, stay.send)

    def _caller(self, given: _Given | None) -> Caller | None:
        if given is not None and not given.by_cookie and self._is_local(given.token):
            return LOCAL
        if not self._tokens.in_force:
            return LOOPBACK if self._terms.loopback_alone else None
        return self._tokens.caller(given.token) if given is not None else None

    def _is_local(self, token: str) -> bool:
        digest = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        return self._local is not None and hmac.compare_digest(digest, self._local)

    def _wait_s(self, scope: Scope, caller: Caller | None) -> int:
        if scope["type"] != "http" or caller is None or not _is_counted(scope):
            return 0
        return self._rate.wait_s(caller.name)


class _Stay:
    """An exchange that is under way: ended as soon as its caller would be let in no more."""

    def __init__(
        self, receive: Receive, send: Send, kind: str, is_welcome: Callable[[], bool]
    ) -> None:
        self._receive = receive
        self._send = send
        self._is_websocket = kind == "websocket"
        self._is_welcome = is_welcome
        self._ended = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "websocket.receive":
            await self._check()
        return self._gone() if self._ended else message

    async def send(self, message: Message) -> None:
        if message["type"] == "websocket.send" or message.get("more_body"):
            await self._check()
        if not self._ended:
            await self._send(message)

    async def _check(self) -> None:
        if self._ended or self._is_welcome():
            return
        self._ended = True
        if self._is_websocket:
            await self._send({"type": "websocket.close", "code": 1008, "reason": "unauthorized"})
        else:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def _gone(self) -> Message:
        if self._is_websocket:
            return {"type": "websocket.disconnect", "code": 1008}
        return {"type": "http.disconnect"}


def _given(scope: Scope) -> _Given | None:
    """The token of the Authorization header; where there is none, that of the browser's cookie."""
    headers = [value for name, value in scope["headers"] if name.lower() == b"authorization"]
    if headers:
        scheme, _, token = headers[0].decode("latin-1").partition(" ")
        is_bearer = len(headers) == 1 and scheme.lower() == "bearer"
        return _Given(token.strip() if is_bearer else "")
    for name, value in scope["headers"]:
        if name.lower() == b"cookie":
            token = cookie_parser(value.decode("latin-1")).get(COOKIE)
            if token is not None:
                return _Given(token, by_cookie=True)
    return None


def _is_counted(scope: Scope) -> bool:
    """Not the parts of a page, of which one has dozens."""
    return scope["method"] not in _UNCOUNTED or scope["path"].startswith("/v1/")


def _is_open(scope: Scope) -> bool:
    return bool(scope["type"] == "http" and scope["path"] in OPEN)


async def _refuse(scope: Scope, receive: Receive, send: Send, given: _Given | None) -> None:
    if scope["type"] == "websocket":
        await receive()  # websocket.connect; a close before accept is answered 403
        await send({"type": "websocket.close", "code": 1008, "reason": "unauthorized"})
        return
    if _is_browser(scope) and (given is None or given.by_cookie):
        await RedirectResponse(LOGIN, status_code=303)(scope, receive, send)
        return
    said = "the token is wrong, expired or revoked" if given else "this needs a token"
    answer = _problem(scope, 401, "unauthorized", said, "see `recalld token create`")
    error = ', error="invalid_token"' if given else ""
    answer.headers["www-authenticate"] = f'Bearer realm="recalld"{error}'
    await answer(scope, receive, send)


async def _refuse_speaker(
    scope: Scope, receive: Receive, send: Send, error: AgentInvalid | Forbidden
) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": "forbidden"})
        return
    status, code = (403, "forbidden") if isinstance(error, Forbidden) else (422, "agent_invalid")
    await _problem(scope, status, code, error.message, error.hint)(scope, receive, send)


async def _slow_down(scope: Scope, receive: Receive, send: Send, wait_s: int) -> None:
    said = f"too many requests; there is room again in {wait_s} s"
    answer = _problem(scope, 429, "rate_limited", said, "see rate_per_minute")
    answer.headers["retry-after"] = str(wait_s)
    await answer(scope, receive, send)


def _is_browser(scope: Scope) -> bool:
    accepted = [value for name, value in scope["headers"] if name.lower() == b"accept"]
    return scope["method"] in ("GET", "HEAD") and any(b"text/html" in value for value in accepted)


def _problem(scope: Scope, status: int, code: str, detail: str, hint: str) -> Response:
    state: dict[str, Any] = scope.get("state", {})
    members = problem(status, code, detail, hint=hint, request_id=state.get(REQUEST_ID, ""))
    return Response(problem_bytes(members), status_code=status, media_type=MEDIA_TYPE)
