"""The tools as true MCP: the official SDK's server over streamable HTTP, without sessions."""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import version
from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import (
    StreamableHTTPASGIApp,
    StreamableHTTPSessionManager,
)
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
    ToolAnnotations,
)
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode
from starlette.requests import Request

from recall_daemon.serve.mcp.late import Endpoint
from recall_daemon.serve.mcp.tool import Answer, Hints, Shown, Toolbox
from recall_daemon.serve.mcp.tool import Tool as HubTool
from recall_daemon.serve.who import who
from recall_wire.errors import RecallError

Context = ServerRequestContext[dict[str, Any], Request]


def make_endpoint(tools: Toolbox, shown: Shown, body_max_bytes: int) -> Endpoint:
    """Serves the tools to whoever `scope["state"]["caller"]` says. Host and Origin are the guard's
    to check."""
    manager = StreamableHTTPSessionManager(
        make_server(tools, shown),
        json_response=True,
        stateless=True,
        security_settings=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        max_request_body_size=body_max_bytes,
    )
    return Endpoint(StreamableHTTPASGIApp(manager), manager.run)


def make_server(tools: Toolbox, shown: Shown) -> Server[dict[str, Any]]:
    listed = ListToolsResult(tools=[_listed(tool) for tool in shown.tools])

    async def list_tools(_: Context, __: PaginatedRequestParams | None) -> ListToolsResult:
        return listed

    async def call_tool(context: Context, params: CallToolRequestParams) -> CallToolResult:
        assert context.request is not None
        try:
            caller = await who(context.request)
            answer = await tools.call(caller, params.name, params.arguments)
        except RecallError as error:
            return CallToolResult(content=[_text(str(error))], is_error=True)
        return _result(answer)

    return Server(
        "recalld",
        version=version("recalld"),
        title="recalld",
        instructions=shown.instructions,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def _result(answer: Answer) -> CallToolResult:
    return CallToolResult(
        content=[_text(answer.text)],
        structured_content=answer.to_json(),
        is_error=answer.error is not None,
    )


def _text(text: str) -> TextContent:
    return TextContent(type="text", text=text)


def _listed(tool: HubTool) -> Tool:
    return Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=_schema(tool.arguments, "validation"),
        output_schema=_schema(tool.result, "serialization"),
        annotations=_annotations(tool.hints),
    )


@lru_cache(maxsize=256)
def _schema(model: type[BaseModel], mode: JsonSchemaMode) -> dict[str, Any]:
    return model.model_json_schema(mode=mode)


def _annotations(hints: Hints) -> ToolAnnotations:
    return ToolAnnotations(
        read_only_hint=hints.read_only,
        destructive_hint=hints.destructive,
        idempotent_hint=hints.idempotent,
        open_world_hint=hints.open_world,
    )
