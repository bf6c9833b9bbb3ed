"""Asks as scripts do: one post, without a JSON-RPC envelope."""

from __future__ import annotations

import httpx2

from recall_daemon.pull.answer import read_json, said
from recall_daemon.pull.ask import TOOL, Question, Said
from recall_daemon.pull.errors import AnswerInvalid, NotSpoken

_SAME_METHOD = (307, 308)
_REDIRECTS = range(300, 400)
_REFUSED = 400


async def ask_plainly(url: str, http: httpx2.AsyncClient, question: Question) -> Said:
    """The result of `quick_search`. Raises `NotSpoken` where the instance wants an envelope.

    Also `AnswerInvalid`, and what `Bounded` and httpx2 raise.
    """
    call = {"name": TOOL, "arguments": question.arguments()}
    response = await _post(http, f"{url}/mcp", {"method": "tools/call", "params": call})
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "text/event-stream":
        raise NotSpoken("it answers a plain post with a stream of events")
    if kind in ("text/html", "application/xhtml+xml"):
        raise AnswerInvalid("it answers with a web page", hint="is that the right address?")
    if response.status_code >= _REFUSED:
        raise NotSpoken(f"it answers a plain post with {response.status_code}")
    if kind == "text/plain":
        return Said(_text(response.content))
    return _said(read_json(response.content))


def _said(body: object) -> Said:
    if not isinstance(body, dict):
        return Said(body)
    if body.get("error"):
        if "jsonrpc" in body:
            raise NotSpoken("it wants JSON-RPC")
        raise AnswerInvalid(f"it answers with an error: {said(body['error'])}")
    name = body.get("system_id")
    return Said(body, name if isinstance(name, str) else None)


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise AnswerInvalid("its answer is not UTF-8 text") from None


async def _post(http: httpx2.AsyncClient, url: str, body: object) -> httpx2.Response:
    """One redirect is followed that stays there, `/mcp` to `/mcp/`; any other is refused."""
    response = await http.post(url, json=body)
    if response.status_code in _SAME_METHOD and response.next_request is not None:
        there = response.next_request.url
        if _origin(there) == _origin(response.request.url) and not there.userinfo:
            response = await http.post(there, json=body)
    if response.status_code in _REDIRECTS:
        raise AnswerInvalid("it redirects to elsewhere", hint="give the address that it moved to")
    return response


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port
