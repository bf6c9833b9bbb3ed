"""One path for true MCP and for the plain posts that instances send.

What has a JSON-RPC envelope goes to the SDK. What has none is answered here with the tool's own
JSON object, and a status that says whether it was done: some instances read nothing else.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import Response

from recall_daemon.errors import Forbidden
from recall_daemon.serve import large_json
from recall_daemon.serve.guard import App, Message, Receive, Scope, Send
from recall_daemon.serve.mcp.tool import Answer, ArgumentsInvalid, Toolbox, ToolUnknown
from recall_daemon.serve.who import who
from recall_wire.errors import RecallError, TerminalError, TransientError

# A thousand memories with a vector each are 9 MB and their texts.
BODY_MAX_BYTES: Final = 32 << 20
# JSON-RPC's code for parameters that are wrong, such as a tool that does not exist.
INVALID_PARAMS: Final = -32602


class BodyInvalid(TerminalError):
    """The body of a post is not what the path takes."""


STATUSES: Final[Mapping[type[RecallError], int]] = {
    BodyInvalid: 400,
    ArgumentsInvalid: 422,
    ToolUnknown: 404,
}


class Posts(ABC):
    """A path of posts; pure ASGI. Bodies are bounded here, too, though the guard does it first."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise HTTPException(404)
        if scope["method"] != "POST":
            raise HTTPException(405, headers={"Allow": "POST"})
        body = await _read(receive)
        if body is not None:
            await self.answer(scope, receive, send, body)

    @abstractmethod
    async def answer(self, scope: Scope, receive: Receive, send: Send, body: bytes) -> None:
        """Answer a post whose body is there."""


class McpPath(Posts):
    """`/mcp`: true MCP, and `{"method": "tools/call", "params": {…}}` without an envelope."""

    def __init__(self, tools: Toolbox, mcp: App) -> None:
        self._tools = tools
        self._mcp = mcp

    async def answer(self, scope: Scope, receive: Receive, send: Send, body: bytes) -> None:
        message = await _parsed(body)
        if not isinstance(message, dict) or "jsonrpc" in message:
            await self._mcp(scope, _replay(body, receive), send)
            return
        name, arguments = _call(message)
        answer = await self._tools.call(await who(HTTPConnection(scope)), name, arguments)
        await _respond(answer, scope, receive, send)


class ToolPath(Posts):
    """`/store_memory` and its like: the body is the tool's arguments."""

    def __init__(self, tools: Toolbox, name: str) -> None:
        self._tools = tools
        self._name = name

    async def answer(self, scope: Scope, receive: Receive, send: Send, body: bytes) -> None:
        caller = await who(HTTPConnection(scope))
        answer = await self._tools.call(caller, self._name, await _parsed(body))
        await _respond(answer, scope, receive, send)


class EnvelopePath(Posts):
    """`/mcp/v1`: a JSON-RPC call without a handshake, whose `result` is the tool's own object.

    So call the instances that push in batches. They try again what is answered with an error's
    status, so that what was refused is told with 200.
    """

    def __init__(self, tools: Toolbox) -> None:
        self._tools = tools

    async def answer(self, scope: Scope, receive: Receive, send: Send, body: bytes) -> None:
        message = await _parsed(body)
        if not isinstance(message, dict):
            raise BodyInvalid("the body is not a JSON object")
        name, arguments = _call(message)
        said: dict[str, Any] = {"jsonrpc": "2.0", "id": _request_id(message.get("id"))}
        try:
            answer = await self._tools.call(await who(HTTPConnection(scope)), name, arguments)
        except (ToolUnknown, ArgumentsInvalid) as error:
            said["error"] = {"code": INVALID_PARAMS, "message": str(error)}
        else:
            if isinstance(answer.error, TransientError):
                raise answer.error
            why = {"error": str(answer.error)} if answer.error else {}
            said["result"] = {**answer.to_json(), **why}
        await _json(200, said)(scope, receive, send)


def _call(message: Mapping[str, Any]) -> tuple[object, object]:
    if message.get("method") != "tools/call":
        raise BodyInvalid("method is not tools/call", hint="MCP's other methods need its envelope")
    params = message.get("params")
    if not isinstance(params, dict):
        raise BodyInvalid("params is not a JSON object")
    return params.get("name"), params.get("arguments")


async def _respond(answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    await _json(_status(answer.error), answer.to_json())(scope, receive, send)


def _status(error: RecallError | None) -> int:
    if error is None:
        return 200
    if isinstance(error, Forbidden):
        return 403
    return 503 if isinstance(error, TransientError) else 422


def _json(status: int, said: Mapping[str, Any]) -> Response:
    # In ASCII: what was sent may hold lone surrogates, which UTF-8 cannot.
    return Response(json.dumps(said), status_code=status, media_type="application/json")


def _request_id(given: object) -> str | int | None:
    return given if isinstance(given, str | int) and not isinstance(given, bool) else None


async def _parsed(body: bytes) -> Any:
    """Raises `BodyInvalid`."""
    try:
        return await large_json.parse(body)
    except (ValueError, RecursionError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else "not JSON"
        raise BodyInvalid(f"the body is {why}") from error


async def _read(receive: Receive) -> bytes | None:
    """The whole body; None where the client went away. Raises `HTTPException`."""
    parts: list[bytes] = []
    length = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        length += len(parts[-1])
        if length > BODY_MAX_BYTES:
            raise HTTPException(413, f"the body is larger than {BODY_MAX_BYTES} bytes")
        if not message.get("more_body", False):
            return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body once more, then whatever comes after it."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return left.pop() if left else await receive()

    return again
