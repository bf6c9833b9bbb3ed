"""The tools as a real MCP client meets them."""

from __future__ import annotations

from pathlib import Path

import pytest
from mcp_types import TextContent

from recall_wire.records import Record

LONG = "The broker was restarted. " * 60 + "Then kafka lag fell to zero."
RECORDS = [
    Record("lag", text=LONG, project="kafka", session_id="s1"),
    Record("pool", text="The pool of connections ran dry", session_id="s1"),
]

READ = {
    "search_memories",
    "get_memory",
    "recent_memories",
    "related_memories",
    "list_systems",
    "memory_stats",
    "search_all_systems",
}
WRITE = {"store_memory", "batch_store_memories", "forget_memory", "sync_instances"}


@pytest.fixture
async def served(open_test_hub, publisher, serve):
    publisher.publish("laptop", 1, RECORDS)
    async with open_test_hub() as hub:
        await hub.once()
        async with serve(hub) as served:
            yield served


def _said(result) -> str:
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


async def test_a_client_finds_every_tool_with_its_hints_and_shapes(served) -> None:
    async with served.client() as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert client.server_info.name == "recalld"
    assert set(tools) == READ | WRITE
    for name, tool in tools.items():
        assert tool.annotations.read_only_hint == (name in READ)
        assert tool.annotations.destructive_hint == (name == "forget_memory")
        assert tool.annotations.idempotent_hint
        assert tool.annotations.open_world_hint == (name == "sync_instances")
        assert tool.description
        assert tool.input_schema["type"] == tool.output_schema["type"] == "object"
    required = {name: tool.input_schema.get("required", []) for name, tool in tools.items()}
    assert required["store_memory"] == ["memory_id", "text"]
    assert required["search_all_systems"] == ["query"]
    assert set(tools["search_all_systems"].input_schema["properties"]) == {
        *("query", "limit", "threshold", "system_id")
    }


async def test_the_docs_name_each_tool_with_its_arguments(served) -> None:
    told = Path(__file__).parents[4].joinpath("docs/mcp.md").read_text()
    async with served.client() as client:
        for tool in (await client.list_tools()).tools:
            (row,) = [line for line in told.splitlines() if line.startswith(f"| `{tool.name}` |")]
            named = row.split("|")[2]
            for name in tool.input_schema["properties"]:
                assert f"`{name}`" in named, (tool.name, name)


async def test_a_search_tells_passages_and_where_they_are_from(served) -> None:
    result = await served.call("search_memories", query="kafka lag", project="kafka")
    (hit,) = result.structured_content["hits"]
    assert (hit["system_id"], hit["memory_id"], hit["project"]) == ("laptop", "lag", "kafka")
    assert "kafka lag fell" in hit["passage"]
    assert len(hit["passage"]) < len(LONG)
    assert not hit["is_whole"]
    said = _said(result)
    assert said.startswith("[1] laptop / lag · note")
    assert "score" in said
    assert "kafka lag fell" in said
    assert len(said) < len(LONG)


async def test_a_memory_is_read_whole_or_in_parts(served) -> None:
    whole = await served.call("get_memory", system_id="laptop", memory_id="lag")
    assert whole.structured_content["text"] == LONG
    part = await served.call(
        "get_memory", system_id="laptop", memory_id="lag", offset=4, max_chars=6
    )
    assert part.structured_content["text"] == "broker"
    assert part.structured_content["text_chars"] == len(LONG)
    assert f"{len(LONG) - 10} characters are left: offset 10" in _said(part)


async def test_the_other_reading_tools(served) -> None:
    recent = await served.call("recent_memories", limit=1)
    assert recent.structured_content["memories"][0]["memory_id"] in ("lag", "pool")
    cursor = recent.structured_content["next_cursor"]
    rest = await served.call("recent_memories", limit=1, cursor=cursor)
    assert rest.structured_content["next_cursor"] is None
    related = await served.call("related_memories", system_id="laptop", memory_id="lag")
    assert [one["memory_id"] for one in related.structured_content["nearest"]] == ["pool"]
    assert "laptop / pool" in _said(related)
    systems = await served.call("list_systems")
    assert systems.structured_content["systems"][0]["rows"] == 2
    assert "laptop: 2 memories" in _said(systems)
    stats = await served.call("memory_stats")
    assert stats.structured_content["rows"] == 2
    assert stats.structured_content["systems"] == 1
    older = await served.call("search_all_systems", query="kafka lag", threshold=0.2, limit=1)
    assert older.structured_content["mode"] == "real"
    assert older.structured_content["results"][0]["conversation_id"] == "lag"
    assert 0.2 <= older.structured_content["results"][0]["similarity"] <= 1
    elsewhere = await served.call("search_all_systems", query="kafka lag", system_id="nowhere")
    assert elsewhere.structured_content["total_results"] == 0


async def test_what_is_stored_is_found_and_what_is_forgotten_is_not(served) -> None:
    stored = await served.call(
        "store_memory", memory_id="m1", text="Gravity waves", metadata={"source": "me"}
    )
    assert stored.structured_content["status"] == "stored"
    await served.follow()
    found = await served.call("search_memories", query="gravity waves", limit=1)
    (hit,) = found.structured_content["hits"]
    gone = await served.call(
        "forget_memory", system_id=hit["system_id"], memory_id=hit["memory_id"]
    )
    assert gone.structured_content["forgotten"] == 1
    assert gone.structured_content["ids"] == [f"{hit['system_id']}/m1"]
    await served.follow()
    again = await served.call("search_memories", query="gravity waves", limit=5)
    assert "m1" not in [one["memory_id"] for one in again.structured_content["hits"]]


async def test_one_is_forgotten_and_not_another_whose_name_ends_alike(served) -> None:
    one = {"text": "Gravity waves", "metadata": {"source": "me"}}
    await served.tool("store_memory", memory_id="m1", **one)
    await served.follow()
    (hit,) = (await served.tool("search_memories", query="gravity waves", limit=1))["hits"]
    system_id = hit["system_id"]
    await served.tool("store_memory", memory_id=f"{system_id}/m1", **one)

    told = await served.tool("forget_memory", system_id=system_id, memory_id=f"{system_id}/m1")
    assert told["ids"] == [f"{system_id}/{system_id}/m1"]
    kept = await served.tool("get_memory", system_id=system_id, memory_id="m1")
    assert kept["memory_id"] == "m1"


REFUSED = [
    ("get_memory", {"system_id": "laptop", "memory_id": "none"}, "there is no such memory"),
    ("get_memory", {"memory_id": "lag"}, "system_id is missing"),
    ("search_memories", {"query": " "}, "the query is empty"),
    ("search_memories", {"query": "a", "limit": 0}, "limit"),
    ("search_memories", {"query": "a", "sytem": "b"}, "sytem"),
    ("search_memories", {"query": "a", "since": "yesterday"}, "is not a time"),
    ("store_memory", {"memory_id": "m"}, "there is no text"),
    ("batch_store_memories", {"memories": 7}, "0 of 0"),
    ("forget_memory", {"system_id": "laptop", "memory_id": "none"}, "nothing was forgotten"),
    ("no_such_tool", {}, "there is no tool"),
]


async def test_what_cannot_be_done_is_told_in_a_sentence(served) -> None:
    async with served.client() as client:
        for name, arguments, said in REFUSED:
            result = await client.call_tool(name, arguments)
            assert result.is_error
            assert said in _said(result)
            assert "Traceback" not in _said(result)


async def test_instances_are_pulled_from(served) -> None:
    result = await served.call("sync_instances", instance_urls=["http://10.0.0.1:8678"], limit=7)
    assert result.structured_content["memories_synced"] == 2
    assert "it does not answer" in _said(result)
    assert served.pulled == [
        {
            "instance_urls": ("http://10.0.0.1:8678",),
            "query": "",
            "limit": 7,
            "incremental": True,
        }
    ]


async def test_there_is_no_stream_to_wait_on(served) -> None:
    answer = await served.http.get("/mcp", headers={"accept": "text/event-stream"})
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
