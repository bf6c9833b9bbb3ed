"""`recall mcp` without a hub, without its library, and at its end."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Sequence

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.shared.exceptions import MCPError

RECALL = "from recall_uploader.entry import main; main()"
# As where the extra is not installed.
WITHOUT = "import sys; sys.modules['mcp'] = None; sys.modules['mcp.server'] = None; " + RECALL


@pytest.fixture
def nowhere() -> str:
    """The address of a port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def _environment(url: str, folder: object) -> dict[str, str]:
    return {"RECALL_HUB_URL": url, "RECALL_HUB_TOKEN": "secret", "XDG_CONFIG_HOME": str(folder)}


def _run(
    code: str, lines: Sequence[str], environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, "mcp"],
        input="".join(line + "\n" for line in lines),
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_a_hub_that_is_away_is_told_to_the_model(nowhere, tmp_path) -> None:
    environment = _environment(nowhere, tmp_path)
    server = StdioServerParameters(
        command=sys.executable, args=["-c", RECALL, "mcp"], env=environment
    )
    async with Client(stdio_client(server)) as client:
        for _ in range(2):
            result = await client.call_tool("search_memories", {"query": "kafka"})
            assert result.is_error
            said = result.content[0].text
            assert said.startswith(f"the hub at {nowhere} does not answer")
            assert "secret" not in said
        with pytest.raises(MCPError, match="does not answer"):
            await client.list_tools()


def test_the_end_of_the_input_ends_it_whatever_came_before(nowhere, tmp_path) -> None:
    hello = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "t", "version": "0"},
        },
    }
    lines = ["not json", "[]", '{"a": ' * 2_000, json.dumps(hello)]
    ended = _run(RECALL, lines, _environment(nowhere, tmp_path))
    assert ended.returncode == 0
    answers = [json.loads(line) for line in ended.stdout.splitlines()]
    assert answers[-1]["result"]["serverInfo"]["name"] == "recalld"


def test_without_the_library_one_sentence_says_how_to_install_it(nowhere, tmp_path) -> None:
    ended = _run(WITHOUT, [], _environment(nowhere, tmp_path))
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.splitlines() == [
        "recall: the package mcp is not installed; pip install 'recalld[mcp]'"
    ]


def test_no_other_command_imports_it() -> None:
    code = "import sys, recall_uploader.cli; sys.exit('mcp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
