"""Asks by the Model Context Protocol, with the official client."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, Implementation, TextContent, Tool

from recall_daemon.pull.answer import said
from recall_daemon.pull.ask import TOOL, Question, Said
from recall_daemon.pull.errors import AnswerInvalid, NotSpoken

PAGES_MAX = 20

# It logs, with their bodies, answers that it cannot read: what they mean is told here.
for _name in ("mcp.client.streamable_http", "mcp.client.client", "mcp.client.session"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


async def ask_by_mcp(
    url: str, http: httpx2.AsyncClient, question: Question, *, max_bytes: int
) -> Said:
    """The result of `quick_search`. Raises `NotSpoken` where the instance speaks no MCP.

    Also `AnswerInvalid`, and what `Bounded` and httpx2 raise.
    """
    transport = streamable_http_client(f"{url}/mcp", http_client=http, max_sse_event_size=max_bytes)
    us = Implementation(name="recalld", version=version("recalld"))
    connected = False
    try:
        async with Client(transport, client_info=us, cache=None) as client:
            connected = True
            result = await client.call_tool(TOOL, await _arguments(client, question))
            name = client.server_info.name if client.server_info else None
    except Exception as raised:
        error = _first(raised)
        if not isinstance(error, MCPError):
            raise error from raised
        if not connected:
            raise NotSpoken(f"it speaks no MCP: {said(error)}") from raised
        raise AnswerInvalid(f"it refused {TOOL}: {said(error)}") from raised
    return Said(_result(result), name)


async def _arguments(client: Client, question: Question) -> dict[str, Any]:
    """Those that the tool takes: a Session-Buddy's refuses any other."""
    properties = (await _tool(client)).input_schema.get("properties")
    asked = question.arguments()
    if not isinstance(properties, dict):
        return asked
    return {name: value for name, value in asked.items() if name in properties}


async def _tool(client: Client) -> Tool:
    cursor: str | None = None
    for _ in range(PAGES_MAX):
        listed = await client.list_tools(cursor=cursor)
        found = next((tool for tool in listed.tools if tool.name == TOOL), None)
        if found is not None:
            return found
        cursor = listed.next_cursor
        if cursor is None:
            break
    raise AnswerInvalid(f"it has no tool {TOOL}", hint="is that the right address?")


def _result(result: CallToolResult) -> object:
    texts = [part.text for part in result.content if isinstance(part, TextContent)]
    if result.is_error:
        raise AnswerInvalid(f"it answers with an error: {said(' '.join(texts))}")
    if result.structured_content is not None:
        return result.structured_content
    return [{"type": "text", "text": text} for text in texts]


def _first(error: Exception) -> Exception:
    """What went wrong, out of the groups that the client's tasks put around it."""
    return next((one for one in _leaves(error)), error)


def _leaves(error: Exception) -> Iterator[Exception]:
    if not isinstance(error, ExceptionGroup):
        yield error
        return
    for inner in error.exceptions:
        yield from _leaves(inner)
