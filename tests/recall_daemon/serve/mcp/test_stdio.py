"""`recall mcp` between a real client and a real hub."""

from __future__ import annotations

import sys

from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

RECALL = "from recall_uploader.entry import main; main()"


def _proxy(url: str, folder: str, *options: str) -> StdioServerParameters:
    environment = {"RECALL_HUB_URL": url, "RECALL_STATE_DIR": folder, "XDG_CONFIG_HOME": folder}
    return StdioServerParameters(
        command=sys.executable, args=["-c", RECALL, "mcp", *options], env=environment
    )


async def test_an_agent_reads_and_writes_by_way_of_the_proxy(
    open_test_hub, serve, tmp_path
) -> None:
    async with open_test_hub() as hub, serve(hub) as served:
        transport = stdio_client(_proxy(f"{served.url}/mcp", str(tmp_path)))
        async with Client(transport) as client:
            assert client.server_info.name == "recalld"
            tools = (await client.list_tools()).tools
            over_http = await served.names()
            assert [tool.name for tool in tools] == over_http
            assert all(tool.annotations is not None for tool in tools)
            stored = await client.call_tool("store_memory", {"memory_id": "m", "text": "Grüße 🚀"})
            assert stored.structured_content["status"] == "stored"
            assert hub.texts("http-push") == {"m": "Grüße 🚀"}
            wrong = await client.call_tool("search_memories", {"query": ""})
            assert wrong.is_error
            assert "the query is empty" in wrong.content[0].text


async def test_the_tools_of_agents_by_way_of_the_proxy(open_test_hub, serve, tmp_path) -> None:
    async with open_test_hub() as hub, serve(hub) as served:
        proxy = _proxy(served.url, str(tmp_path), "--agents")
        async with Client(stdio_client(proxy)) as client:
            added = await client.call_tool("add_memory", {"content": "a", "agent_id": "helper"})
            name = added.structured_content["memory_id"]
            (system,) = hub.hub.core.operations.status()["systems"]
            assert hub.texts(system["system_id"]) == {name: "a"}
