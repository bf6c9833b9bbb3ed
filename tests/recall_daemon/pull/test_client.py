"""One instance: the protocol it speaks is found out, and whatever it does is one sentence."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # peers

from peers import (
    TOP_ONE,
    Seen,
    endless,
    hanging,
    mcp_instance,
    memory,
    plain_instance,
    saying,
    served,
)

from recall_daemon.pull.ask import Question
from recall_daemon.pull.client import MemorySyncClient
from recall_daemon.pull.errors import (
    AnswerInvalid,
    InstanceRefused,
    InstanceUnreachable,
    PullInvalid,
)
from recall_wire.errors import RecallError

TWO = [memory(1), memory(2)]
ALL = {"query": "", "limit": 100, "min_score": 0.0}


class Pauses:
    """A sleep that only notes how long."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


async def test_proper_mcp_with_what_the_tool_takes() -> None:
    seen = Seen(mcp_instance(lambda: TWO))
    async with served(seen) as url, MemorySyncClient(f"{url}/mcp/") as client:
        assert await client.search_memories() == TWO
        assert client.speaks == "mcp"
    assert seen.asked() == [ALL]
    assert {body.get("jsonrpc") for body in seen.bodies} == {"2.0"}


async def test_a_session_buddy_gets_no_limit_and_answers_with_text() -> None:
    seen = Seen(mcp_instance(lambda: TOP_ONE, name="session-buddy", limited=False))
    async with served(seen) as url, MemorySyncClient(url) as client:
        answer = await client.ask(Question("x", 5, project="queue"))
    assert [one["text"] for one in answer.memories] == ["Use WAL mode\nfor the queue"]
    assert (answer.name, answer.left_out) == ("session-buddy", "it gives its best result alone")
    assert seen.asked() == [{"query": "x", "min_score": 0.0, "project": "queue"}]


@pytest.mark.parametrize("status", [400, 404, 422, 500, 200])
async def test_a_plain_post_where_mcp_is_not_spoken(status: int) -> None:
    seen = Seen(plain_instance(lambda: {"result": json.dumps(TWO)}, status))
    async with served(seen) as url, MemorySyncClient(url) as client:
        assert await client.search_memories() == TWO
        asked = len(seen.bodies)
        assert await client.search_memories(query="x", limit=7, min_score=0.5) == TWO
        assert client.speaks == "plain"
    assert len(seen.bodies) == asked + 1, "it is remembered what the instance speaks"
    assert seen.bodies[-1] == {
        "method": "tools/call",
        "params": {
            "name": "quick_search",
            "arguments": {"query": "x", "limit": 7, "min_score": 0.5},
        },
    }


async def test_one_that_speaks_mcp_since_then() -> None:
    async with (
        served(mcp_instance(lambda: TWO)) as url,
        MemorySyncClient(url, speaks="plain") as client,
    ):
        assert await client.search_memories() == TWO
        assert client.speaks == "mcp"


async def test_a_failure_that_passes_is_tried_again() -> None:
    answers = [503, 503]
    good = plain_instance(lambda: {"result": TWO})

    async def app(scope: Any, receive: Any, send: Any) -> None:
        bad = saying(b"{}", status=answers.pop()) if answers else good
        await bad(scope, receive, send)

    pauses = Pauses()
    async with (
        served(app) as url,
        MemorySyncClient(url, speaks="plain", sleep=pauses) as client,
    ):
        assert await client.search_memories() == TWO
    assert len(pauses.seconds) == 1
    assert 0 < pauses.seconds[0] <= 0.5


async def test_nobody_there() -> None:
    pauses = Pauses()
    async with MemorySyncClient("http://127.0.0.1:1", sleep=pauses) as client:
        with pytest.raises(InstanceUnreachable, match="does not answer"):
            await client.search_memories()
        assert (await client.check_health())["healthy"] is False
    assert len(pauses.seconds) == 2
    assert pauses.seconds[0] < pauses.seconds[1]


async def test_the_token_goes_along_in_both_protocols() -> None:
    for app in (mcp_instance(lambda: TWO), plain_instance(lambda: TWO)):
        seen = Seen(app)
        async with served(seen) as url, MemorySyncClient(url, token="secret") as client:
            await client.search_memories()
        assert {one.get("authorization") for one in seen.headers} == {"Bearer secret"}


@pytest.mark.parametrize("status", [401, 403])
async def test_one_that_wants_a_token(status: int) -> None:
    pauses = Pauses()
    async with (
        served(saying(b"{}", status=status)) as url,
        MemorySyncClient(url, sleep=pauses) as client,
    ):
        with pytest.raises(InstanceRefused, match=f"it refuses: {status}"):
            await client.search_memories()
    assert pauses.seconds == []


async def test_a_redirect_to_another_host_is_refused() -> None:
    seen = Seen(plain_instance(lambda: TWO))
    async with served(seen) as other:
        moved = saying(b"", status=307, location=f"{other}/mcp")
        async with served(moved) as url, MemorySyncClient(url, token="secret") as client:
            with pytest.raises(AnswerInvalid, match="redirects to elsewhere"):
                await client.search_memories()
    assert seen.bodies == []


async def test_a_redirect_that_stays_there_is_followed() -> None:
    inner = plain_instance(lambda: TWO)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] == "/mcp":
            await saying(b"", status=307, location="/mcp/")(scope, receive, send)
        else:
            await inner({**scope, "path": "/mcp"}, receive, send)

    async with served(app) as url, MemorySyncClient(url) as client:
        assert await client.search_memories() == TWO


@pytest.mark.parametrize("chunk", [b" " * 65_536, b": nothing\n\n" * 5_000])
@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream", "text/plain"])
async def test_an_answer_without_end_is_cut_off(content_type: str, chunk: bytes) -> None:
    async with (
        served(endless(content_type, chunk)) as url,
        MemorySyncClient(url, max_bytes=1 << 20) as client,
    ):
        with pytest.raises(AnswerInvalid, match="more than 1048576 bytes"):
            await client.search_memories()


async def test_a_result_that_is_too_large_is_cut_off_in_mcp_too() -> None:
    huge = mcp_instance(lambda: [memory(1, content="x" * (2 << 20))])
    async with served(huge) as url, MemorySyncClient(url, max_bytes=1 << 20) as client:
        with pytest.raises(AnswerInvalid, match="more than 1048576 bytes"):
            await client.search_memories()


async def test_one_that_hangs_costs_the_timeout_and_no_more() -> None:
    pauses = Pauses()
    async with (
        served(hanging()) as url,
        MemorySyncClient(url, timeout=0.2, sleep=pauses) as client,
    ):
        with pytest.raises(InstanceUnreachable, match=r"no answer in 0\.2 seconds"):
            await client.search_memories()
        assert (await client.check_health())["healthy"] is False


def _fails(**_: object) -> Any:
    raise ValueError("locked")


@pytest.mark.parametrize(
    ("app", "words"),
    [
        (saying(b"<html>", "text/html"), "web page"),
        (saying(b"\xff\xfe"), "not UTF-8"),
        (saying(b"\xff\xfe", "text/plain"), "not UTF-8"),
        (saying(b"{nonsense"), "not JSON"),
        (saying(b"not found", status=404), "neither MCP nor a plain post"),
        (saying(b'{"error": "locked"}'), "locked"),
        (saying(gzip.compress(b"{}"), content_encoding="gzip"), "packed"),
        (mcp_instance(_fails), "answers with an error"),
        (saying(b'{"jsonrpc": "2.0", "id": 1, "result": 5, "error": {"code": 1}}'), "neither"),
    ],
)
async def test_whatever_it_answers_is_one_sentence(app: Any, words: str) -> None:
    async with served(app) as url, MemorySyncClient(url) as client:
        with pytest.raises(RecallError, match=words) as raised:
            await client.search_memories()
    assert "\n" not in str(raised.value)


async def test_an_mcp_server_without_the_tool() -> None:
    from mcp.server.mcpserver import MCPServer

    server = MCPServer("other", log_level="CRITICAL")
    async with served(server.streamable_http_app()) as url, MemorySyncClient(url) as client:
        with pytest.raises(AnswerInvalid, match="it has no tool quick_search"):
            await client.search_memories()


async def test_recent_ones_are_the_newest_first() -> None:
    found = [
        memory(1, created_at="2020-01-01T00:00:00Z"),
        memory(2, created_at="2999-01-01T00:00:00Z"),
        memory(3, created_at="3000-01-01T00:00:00Z"),
        memory(4, created_at=None),
    ]
    async with served(plain_instance(lambda: found)) as url, MemorySyncClient(url) as client:
        ids = [one["id"] for one in await client.get_recent_memories(hours=24, limit=10)]
    assert ids == ["m3", "m2", "m4"]


@pytest.mark.parametrize(
    ("path", "detail"), [("/healthz", "/healthz answers"), ("/none", "it speaks mcp")]
)
async def test_health(path: str, detail: str) -> None:
    inner = mcp_instance(lambda: TWO)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        healthy = scope["type"] == "http" and scope["path"] == path
        await (saying(b"{}") if healthy else inner)(scope, receive, send)

    async with served(app) as url, MemorySyncClient(url) as client:
        assert await client.check_health() == {"url": url, "healthy": True, "detail": detail}


@pytest.mark.parametrize(
    "url", ["ftp://x", "file:///etc/passwd", "http://", "http://u:p@x", "http://x/?a", "x:8678", ""]
)
async def test_a_wrong_address(url: str) -> None:
    with pytest.raises(PullInvalid):
        MemorySyncClient(url)
