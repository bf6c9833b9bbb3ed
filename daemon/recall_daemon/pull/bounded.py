"""HTTP to an instance that nobody vouches for: so many bytes, as they are, and from there alone."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import httpx2

from recall_daemon.pull.errors import AnswerInvalid, InstanceRefused, InstanceUnreachable
from recall_wire.errors import RecallError

ANSWER_MAX_BYTES = 16 << 20
CONNECTIONS = 4

# It tells every request at info.
logging.getLogger("httpx2").setLevel(logging.WARNING)

_UNAUTHORIZED, _FORBIDDEN, _TOO_MANY, _BROKEN = 401, 403, 429, 500


class Bounded(httpx2.AsyncBaseTransport):
    """Counts what comes in since `begin`. Raises `AnswerInvalid` past `max_bytes`.

    Also `InstanceRefused` and `InstanceUnreachable` by the status of a POST. What was raised stays
    in `failure`: the MCP client turns some of it into errors of its own.
    """

    def __init__(self, inner: httpx2.AsyncBaseTransport, max_bytes: int) -> None:
        self._inner = inner
        self._max_bytes = max_bytes
        self._left = max_bytes
        self.failure: RecallError | None = None

    def begin(self) -> None:
        self._left, self.failure = self._max_bytes, None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._inner.handle_async_request(request)
        try:
            self._check(request, response)
        except RecallError:
            await response.aclose()
            raise
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _Counted(response.stream, self)
        return response

    def _check(self, request: httpx2.Request, response: httpx2.Response) -> None:
        # A few bytes can unpack to more than fits into memory: none was asked for.
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise self.failed(AnswerInvalid("it answers with packed bytes"))
        if request.method != "POST":
            return
        status = response.status_code
        if status in (_UNAUTHORIZED, _FORBIDDEN):
            hint = "give its token in pull_instances"
            raise self.failed(InstanceRefused(f"it refuses: {status}", hint=hint))
        if status == _TOO_MANY or status >= _BROKEN:
            raise self.failed(InstanceUnreachable(f"it answers {status}"))

    def take(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise self.failed(AnswerInvalid(f"it answers with more than {self._max_bytes} bytes"))

    def failed(self, error: RecallError) -> RecallError:
        self.failure = self.failure or error
        return error

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Counted(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, transport: Bounded) -> None:
        self._stream = stream
        self._transport = transport

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            self._transport.take(len(chunk))
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


def open_http(
    *, timeout_s: float, token: str | None, max_bytes: int = ANSWER_MAX_BYTES
) -> tuple[httpx2.AsyncClient, Bounded]:
    """A pooled client and its transport. It follows no redirect and uses no proxy.

    A proxy, or a password, from the environment would have a say in where the token goes.
    """
    limits = httpx2.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    transport = Bounded(httpx2.AsyncHTTPTransport(limits=limits), max_bytes)
    headers = {"accept-encoding": "identity"}
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    client = httpx2.AsyncClient(
        transport=transport, headers=headers, timeout=timeout_s, trust_env=False
    )
    return client, transport
