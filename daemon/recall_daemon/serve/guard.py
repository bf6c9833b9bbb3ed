"""Keeps web pages away from the port, and bodies that are too large or do not end.

A page in the user's browser can reach a loopback port, directly or by a name that it has resolve
to 127.0.0.1. So: the Host must be a loopback name with our port (rebinding), an Origin must be that
same host (cross-site calls), the browser must not call the request cross-site, and a body must
be of a media type that no form can send.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Awaitable, Callable, Collection, MutableMapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from recall_daemon.serve.problem import MEDIA_TYPE, REQUEST_ID, problem, problem_bytes

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_MAX_BYTES = 1 << 20
# A body has this long, and a second more for so many bytes of it: slow lines get through, a body
# that trickles or never ends does not.
BODY_S = 30.0
BODY_MIN_BYTES_PER_S = 16_384
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(?::(?P<port>[0-9]{1,5}))?")
_STANDING = (
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


@dataclass(frozen=True, slots=True)
class Refusal:
    status: int
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Allowance:
    """Routes whose bodies are of other types or sizes than all others'."""

    method: str
    path: re.Pattern[str]
    media_types: frozenset[str]
    body_max_bytes: int

    def covers(self, scope: Scope) -> bool:
        return bool(
            scope["type"] == "http"
            and scope["method"] == self.method
            and self.path.fullmatch(scope["path"])
        )


class Guard:
    """Pure ASGI middleware, for http and websocket; put it around the whole app, outermost.

    Every answer carries `x-request-id`: the caller's own where it is a plain one, else a new one;
    the app finds it in `scope["state"]["request_id"]`. Refusals are problem details. `names` are
    further host names that are let in, with any port: those of a proxy, which may speak https where
    we speak http. `any_address`: so is every address with our port, for a hub that is bound to more
    than loopback; a page can have a name of its own point here, and no address. The first of the
    `allowances` that covers a request says what its body may be.
    """

    def __init__(
        self,
        app: App,
        *,
        port: int,
        names: Collection[str] = (),
        any_address: bool = False,
        media_types: Collection[str] = ("application/json",),
        body_max_bytes: int = BODY_MAX_BYTES,
        allowances: Sequence[Allowance] = (),
    ) -> None:
        self._app = app
        self._port = port
        self._names = frozenset(name.lower() for name in names)
        self._any_address = any_address
        everywhere = re.compile(r".*", re.DOTALL)
        self._allowances = tuple(allowances)
        self._standard = Allowance("", everywhere, frozenset(media_types), body_max_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        request_id = scope.setdefault("state", {}).setdefault(REQUEST_ID, request_id_of(scope))
        refusal = self._refusal(scope)
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send, refusal)
            return
        exchange = _Exchange(receive, send, request_id, self._allowed(scope).body_max_bytes)
        if refusal is not None:
            await exchange.refuse(refusal)
            return
        await exchange.run(self._app, scope)

    async def _websocket(
        self, scope: Scope, receive: Receive, send: Send, refusal: Refusal | None
    ) -> None:
        if refusal is None:
            await self._app(scope, receive, send)
            return
        await receive()  # websocket.connect; a close before accept is answered 403
        await send({"type": "websocket.close", "code": 1008, "reason": refusal.code})

    def _allowed(self, scope: Scope) -> Allowance:
        return next((each for each in self._allowances if each.covers(scope)), self._standard)

    def _refusal(self, scope: Scope) -> Refusal | None:
        allowed = self._allowed(scope)
        return (
            self._wrong_host(scope)
            or self._wrong_origin(scope)
            or _wrong_media_type(scope, allowed.media_types)
            or _too_long(scope, allowed.body_max_bytes)
        )

    def _wrong_host(self, scope: Scope) -> Refusal | None:
        hosts = _values(scope, b"host")
        if len(hosts) != 1:
            return Refusal(400, "host_invalid", f"there are {len(hosts)} Host headers, not one")
        match = _HOST.fullmatch(hosts[0])
        if match and self._is_ours(match["name"], int(match["port"] or _PORTS[_scheme(scope)])):
            return None
        return Refusal(421, "host_refused", f"this hub is not {hosts[0][:100]!r}")

    def _is_ours(self, name: str, port: int) -> bool:
        if name.lower() in self._names:
            return True
        if port != self._port:
            return False
        try:
            address = ip_address(name.strip("[]"))
        except ValueError:
            return name.lower() == "localhost"
        return address.is_loopback or self._any_address

    def _wrong_origin(self, scope: Scope) -> Refusal | None:
        host = _values(scope, b"host")[0].lower()
        allowed = {f"{_scheme(scope)}://{host}"}
        if host.partition(":")[0] in self._names:
            allowed.add(f"https://{host}")
        if any(origin.lower() not in allowed for origin in _values(scope, b"origin")):
            return Refusal(403, "origin_refused", "web pages of other origins may not call the hub")
        if any(site not in _OWN_SITES for site in _values(scope, b"sec-fetch-site")):
            return Refusal(403, "origin_refused", "web pages of other sites may not call the hub")
        return None


_PORTS = {"http": 80, "https": 443}
_OWN_SITES = ("same-origin", "none")


def _scheme(scope: Scope) -> str:
    return "https" if scope.get("scheme") in ("https", "wss") else "http"


def _wrong_media_type(scope: Scope, media_types: Collection[str]) -> Refusal | None:
    if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
        return None
    types = _values(scope, b"content-type")
    if not types and not _has_body(scope):
        return None
    named = types[0].partition(";")[0].strip().lower() if len(types) == 1 else ""
    if named in media_types:
        return None
    allowed = ", ".join(sorted(media_types))
    return Refusal(415, "media_type_refused", f"the body must be {allowed}")


def _too_long(scope: Scope, body_max_bytes: int) -> Refusal | None:
    lengths = _values(scope, b"content-length")
    if not lengths:
        return None
    if len(lengths) > 1 or not (lengths[0].isascii() and lengths[0].isdigit()):
        return Refusal(400, "length_invalid", "Content-Length is not one whole number")
    # Compared by digits first: Python refuses to read a number of thousands of them.
    if len(lengths[0]) > 18 or int(lengths[0]) > body_max_bytes:
        return _too_large(body_max_bytes)
    return None


def _too_large(body_max_bytes: int) -> Refusal:
    return Refusal(413, "body_too_large", f"the body is larger than {body_max_bytes} bytes")


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]


def _has_body(scope: Scope) -> bool:
    lengths = _values(scope, b"content-length")
    return any(length != "0" for length in lengths) or bool(_values(scope, b"transfer-encoding"))


def request_id_of(scope: Scope) -> str:
    """The caller's own id where it is a plain one, else a new one."""
    given = _values(scope, b"x-request-id")
    return given[0] if len(given) == 1 and _REQUEST_ID.fullmatch(given[0]) else uuid.uuid4().hex


class _Exchange:
    """One request: counts the body as it comes, and adds our headers to the answer."""

    def __init__(self, receive: Receive, send: Send, request_id: str, body_max_bytes: int) -> None:
        self._receive = receive
        self._send = send
        self._request_id = request_id
        self._body_max_bytes = body_max_bytes
        self._received_bytes = 0
        self._complete = False
        self._until_s: float | None = None
        self._answered = False
        self._cut_off = False

    async def run(self, app: App, scope: Scope) -> None:
        try:
            await app(scope, self._counted, self._answering)
        except Exception:
            # The app was told that the client is gone; how it takes that is of no interest.
            if not self._cut_off:
                raise

    async def _counted(self) -> Message:
        if self._cut_off:
            return {"type": "http.disconnect"}
        try:
            message = await self._next()
        except TimeoutError:
            return await self._cut(Refusal(408, "body_too_slow", "the body came too slowly"))
        self._received_bytes += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if self._received_bytes > self._body_max_bytes:
            return await self._cut(_too_large(self._body_max_bytes))
        return message

    async def _next(self) -> Message:
        """Raises `TimeoutError`, but not after the body, when it is a disconnect that comes."""
        if self._complete:
            return await self._receive()
        if self._until_s is None:
            self._until_s = asyncio.get_running_loop().time() + BODY_S
        earned_s = self._received_bytes / BODY_MIN_BYTES_PER_S
        async with asyncio.timeout_at(self._until_s + earned_s):
            return await self._receive()

    async def _cut(self, refusal: Refusal) -> Message:
        self._cut_off = True
        if not self._answered:
            await self.refuse(refusal)
        return {"type": "http.disconnect"}

    async def _answering(self, message: Message) -> None:
        if self._cut_off:
            return
        if message["type"] == "http.response.start":
            self._answered = True
            message = {**message, "headers": [*message.get("headers", ()), *self._headers()]}
        await self._send(message)

    async def refuse(self, refusal: Refusal) -> None:
        headers, body = refusal_parts(refusal, self._request_id)
        start = {"type": "http.response.start", "status": refusal.status, "headers": headers}
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})

    def _headers(self) -> list[tuple[bytes, bytes]]:
        return _headers(self._request_id)


def _headers(request_id: str) -> list[tuple[bytes, bytes]]:
    return [(b"x-request-id", request_id.encode()), *_STANDING]


def refusal_parts(refusal: Refusal, request_id: str) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Headers and body of an answer after which the connection is closed."""
    members = problem(refusal.status, refusal.code, refusal.detail, request_id=request_id)
    body = problem_bytes(members)
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),  # what is left of the body is not read
        *_headers(request_id),
    ]
    return headers, body
