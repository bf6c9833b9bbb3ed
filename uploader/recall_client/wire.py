"""A call as httpx takes it, and what httpx says as a reply."""

from __future__ import annotations

from typing import Any, Final

import httpx

from recall_client.answers import Reply
from recall_client.exchange import NoAnswer, Send

CONNECT_S: Final = 5.0

# What a request can end with but an answer.
Failures: Final = (httpx.HTTPError, httpx.InvalidURL)


def address(hub_url: str) -> str:
    """Other programs name the hub's MCP address; the API lies beside it. Raises `ValueError`."""
    if not isinstance(hub_url, str):
        raise ValueError("hub_url is not a text")
    try:
        url = httpx.URL(hub_url)
    except httpx.InvalidURL:
        raise ValueError("hub_url is not the address of a server") from None
    if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment:
        raise ValueError("hub_url is not an http or https address without a query")
    if url.userinfo:
        raise ValueError("hub_url holds a password; pass a token instead")
    return hub_url.rstrip("/").removesuffix("/mcp")


def authorization(token: str | None) -> dict[str, str]:
    """Raises `ValueError`, without the token."""
    if token is None:
        return {}
    word = token.strip() if isinstance(token, str) else ""
    if not word or not (word.isascii() and word.isprintable()) or " " in word:
        raise ValueError("token is not one word of printable ASCII")
    return {"authorization": f"Bearer {word}"}


def options(url: str, token: str | None) -> dict[str, Any]:
    """Of an httpx client. A redirect is not followed: it would take the token along."""
    return {
        "base_url": url,
        "headers": {"accept": "application/json", **authorization(token)},
        "follow_redirects": False,
    }


def request(send: Send) -> dict[str, Any]:
    """A request's arguments. For a free connection it waits as long as others need theirs."""
    call = send.call
    timeout = httpx.Timeout(send.timeout_s, connect=min(CONNECT_S, send.timeout_s), pool=None)
    return {
        "method": call.method,
        "url": call.path,
        "params": call.query or None,
        "content": call.body,
        "headers": send.headers,
        "timeout": timeout,
    }


def reply(response: httpx.Response) -> Reply:
    return Reply(response.status_code, response.content, response.headers.get("x-request-id"))


def no_answer(error: Exception) -> NoAnswer:
    """Never the library's own words, unless it could not connect: they may quote a header."""
    if isinstance(error, httpx.TimeoutException):
        return NoAnswer("no answer in time")
    told = str(error)[:200] if isinstance(error, httpx.ConnectError) else type(error).__name__
    return NoAnswer(told)
