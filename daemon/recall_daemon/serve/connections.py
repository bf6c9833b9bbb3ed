"""Connections that ask nothing, dawdle, or take no answer: closed before others feel them.

uvicorn ends a connection that is idle after an answer, and none that has never asked, sends its
headers byte by byte or without end, or reads no answer. Bodies are the guard's.
"""

from __future__ import annotations

import asyncio
import resource
import uuid
from collections.abc import Callable
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from recall_daemon.serve.guard import Refusal, refusal_parts

# From the connection, or from the answer before, to the last header of a request.
HEADERS_S: Final = 15.0
# Request line, headers and trailers: the parser itself knows no end of them, and keeps them all.
HEAD_MAX_BYTES: Final = 1 << 16
HEADERS_MAX: Final = 256
# An answer of which nothing is taken for so long is for nobody.
UNREAD_S: Final = 60.0
CONNECTIONS_MAX: Final = 16_384
FILES_MAX: Final = 1 << 16
# What the rest of the hub needs: store, index, bucket, children.
FILES_KEPT: Final = 512


def raise_file_limit() -> None:
    """As many open files as this process may have: each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, FILES_MAX)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def connections_max() -> int:
    """How many the limit of open files leaves room for."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return CONNECTIONS_MAX
    return max(min(CONNECTIONS_MAX, soft - FILES_KEPT), soft // 2)


class Idle:
    """The connections without a request under way, and how many there are of all.

    Beyond `most` the one that is idle longest goes: ten thousand that ask nothing keep nobody out.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._idle: dict[Watched, None] = {}

    def add(self, connection: Watched, count: int) -> None:
        self._idle[connection] = None
        if count > self._most:
            longest = next(iter(self._idle))
            self.discard(longest)  # it is lost in a moment, and must not be taken twice
            longest.transport.abort()

    def discard(self, connection: Watched) -> None:
        self._idle.pop(connection, None)


class HeadTooLarge(Exception):
    """Raised within the parser, which then calls the request invalid."""


_INVALID = Refusal(400, "http_invalid", "that is no HTTP, or of a method that nobody knows")
_TOO_LARGE = Refusal(431, "head_too_large", "the head of the request is too large")


class Watched(HttpToolsProtocol):
    """uvicorn's protocol with an end to waiting, and to heads."""

    def __init__(self, *arguments: Any, idle: Idle, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._idle = idle
        self._waiting: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        # Received since the last piece of a body, or the end of a head: part of a head, then.
        self._head_bytes = 0
        self._refusal = _INVALID

    def connection_made(  # type: ignore[override]
        self, transport: asyncio.Transport
    ) -> None:
        super().connection_made(transport)
        self._await_headers()

    def data_received(self, data: bytes) -> None:
        self._head_bytes += len(data)
        super().data_received(data)
        is_asked = self.cycle is not None and not self.cycle.response_complete
        if is_asked:
            self._stop_waiting()
        if self._head_bytes > HEAD_MAX_BYTES and not self.transport.is_closing():
            self._refuse_head(is_asked)

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self.headers) == HEADERS_MAX:
            self._refusal = _TOO_LARGE
            raise HeadTooLarge
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._head_bytes = 0
        super().on_message_complete()

    def handle_websocket_upgrade(self, *arguments: Any) -> None:
        self._stop_waiting()
        super().handle_websocket_upgrade(*arguments)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete and not self.transport.is_closing():
            self._await_headers()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(UNREAD_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_unread()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._stop_unread()
        super().connection_lost(exc)

    def _refuse_head(self, is_asked: bool) -> None:
        """Into the answer of a request before it nothing can be said."""
        if is_asked:
            self.transport.abort()
        else:
            self._refusal = _TOO_LARGE
            self.send_400_response("")

    def send_400_response(self, msg: str) -> None:
        """What the parser cannot read reaches no application: the answer is made here."""
        headers, body = refusal_parts(self._refusal, uuid.uuid4().hex)
        said = [STATUS_LINE[self._refusal.status]]
        said += [part for name, value in headers for part in (name, b": ", value, b"\r\n")]
        self.transport.write(b"".join([*said, b"\r\n", body]))
        self.transport.close()

    def _await_headers(self) -> None:
        self._stop_waiting()
        self._waiting = self.loop.call_later(HEADERS_S, self.transport.abort)
        self._idle.add(self, len(self.connections))

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        self._idle.discard(self)

    def _stop_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None


def watched() -> Callable[..., asyncio.Protocol]:
    """A protocol for one server."""
    idle = Idle(connections_max())

    def make(*arguments: Any, **options: Any) -> asyncio.Protocol:
        return Watched(*arguments, idle=idle, **options)

    return make
