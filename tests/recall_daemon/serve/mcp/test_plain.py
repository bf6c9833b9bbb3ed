"""The posts of today's instances, as they send them."""

from __future__ import annotations

import pytest
from starlette.exceptions import HTTPException

from recall_daemon.serve.mcp import plain
from recall_daemon.serve.mcp.tool import Toolbox

SINGLE = ("/store_memory", "/mcp/store_memory")
BATCH = ("/batch_store_memories", "/mcp/batch_store_memories")
SOURCE = "http://localhost:8678"


def _memory(memory_id: str, text: object = "The broker was restarted", **metadata: object) -> dict:
    said = {"source": SOURCE, "created_at": "2026-01-01T10:00:00", **metadata}
    return {"memory_id": memory_id, "text": text, "embedding": [0.1] * 384, "metadata": said}


async def test_one_memory_is_stored_by_every_way_in(open_test_hub, serve) -> None:
    async with open_test_hub() as hub, serve(hub, **{SOURCE: "laptop"}) as served:
        answers = [await served.post(path, _memory(f"m{at}")) for at, path in enumerate(SINGLE)]
        call = {"method": "tools/call", "params": {"name": "store_memory"}}
        call["params"]["arguments"] = _memory("m2")
        answers.append(await served.post("/mcp", call))
        for at, answer in enumerate(answers):
            assert answer.status_code == 200
            assert answer.json() == {
                "status": "stored",
                "memory_id": f"m{at}",
                "stored_at": "2026-01-02T00:00:00+00:00",
                "embedding_dim": 384,
                "source": SOURCE,
            }
        assert set(hub.texts("laptop")) == {"m0", "m1", "m2"}
        got = await served.tool("get_memory", system_id="laptop", memory_id="m2")
        assert got["created_at"] == "2026-01-01T10:00:00+00:00"
        assert got["metadata"]["ingestion_method"] == "http_push"
        assert got["metadata"]["source"] == SOURCE


async def test_a_single_push_as_an_instance_makes_it(open_test_hub, serve) -> None:
    """Its id is called `id`, and its vector may be a matrix of one row."""
    body = {"id": "mem_7", "text": "a", "embedding": [[0.5] * 384], "metadata": {"source": SOURCE}}
    async with open_test_hub() as hub, serve(hub, **{SOURCE: "laptop"}) as served:
        answer = await served.post("/mcp/store_memory", body)
        assert answer.json()["memory_id"] == "mem_7"
        assert hub.texts("laptop") == {"mem_7": "a"}


async def test_a_failure_is_told_in_the_answer_and_by_its_status(open_test_hub, serve) -> None:
    async with open_test_hub() as hub, serve(hub) as served:
        answer = await served.post("/store_memory", {"memory_id": "m", "text": ""})
        assert answer.status_code == 422
        told = answer.json()
        assert set(told) == {"status", "memory_id", "error"}
        assert (told["status"], told["memory_id"]) == ("failed", "m")
        nameless = await served.post("/store_memory", {"text": "a"})
        assert nameless.json()["memory_id"] is None
        batch = await served.post("/batch_store_memories", {"memories": [{"memory_id": "m"}]})
        assert batch.status_code == 422
        assert batch.json()["status"] == "failed"


async def test_a_batch_is_stored_as_far_as_it_can_be(open_test_hub, serve) -> None:
    memories = [_memory("a"), _memory("b", 7), "c", {"id": "d", "text": "x"}, _memory("\ud800")]
    async with open_test_hub() as hub, serve(hub, **{SOURCE: "laptop"}) as served:
        for path in BATCH:
            answer = await served.post(path, {"memories": memories})
            assert answer.status_code == 200
            told = answer.json()
            assert set(told) == {"status", "total", "stored", "failed", "errors", "stored_at"}
            counts = [told[name] for name in ("status", "total", "stored", "failed")]
            assert counts == ["partial", 5, 2, 3]
            assert [one["memory_id"] for one in told["errors"]] == ["b", None, "\ud800"]
            assert told["errors"][0]["error"] == "text is not text"
        assert hub.texts("laptop") == {"a": "The broker was restarted"}
        assert hub.texts("http-push") == {"d": "x"}
        whole = await served.post(BATCH[0], {"memories": [_memory("e")]})
        assert whole.json()["status"] == "completed"
        assert whole.json()["errors"] == []


async def test_a_batch_has_a_largest_size(open_test_hub, serve) -> None:
    async with open_test_hub() as hub, serve(hub) as served:
        most = [_memory(f"m{at}", "a") for at in range(1_000)]
        assert (await served.post(BATCH[0], {"memories": most})).json()["stored"] == 1_000
        answer = await served.post(BATCH[0], {"memories": [*most, *most[:1]]})
        told = answer.json()
        assert (told["status"], told["total"], told["failed"]) == ("failed", 1_001, 1_001)
        assert "at most 1000" in told["errors"][0]["error"]


async def test_a_batch_in_an_envelope_is_answered_as_its_sender_reads_it(
    open_test_hub, serve
) -> None:
    """Session-Buddy puts /mcp/v1 behind the hub's address, and reads `result` as the tool's own."""
    async with open_test_hub() as hub, serve(hub, **{SOURCE: "laptop"}) as served:
        call = {"jsonrpc": "2.0", "id": "f00", "method": "tools/call"}
        params = {"name": "batch_store_memories", "arguments": {"memories": [_memory("a")]}}
        for path in ("/mcp/v1", "/mcp/mcp/v1"):
            answer = await served.post(path, {**call, "params": params})
            assert answer.status_code == 200
            told = answer.json()
            assert (told["jsonrpc"], told["id"]) == ("2.0", "f00")
            assert (told["result"]["status"], told["result"]["stored"]) == ("completed", 1)
        bad = {"name": "batch_store_memories", "arguments": {"memories": [{}]}}
        failed = (await served.post("/mcp/v1", {**call, "params": bad})).json()["result"]
        assert failed["status"] == "failed"
        assert failed["error"]
        other = {"name": "create_entity", "arguments": {"name": "x"}}
        unknown = await served.post("/mcp/v1", {**call, "params": other})
        assert unknown.status_code == 200
        assert unknown.json()["error"]["code"] == plain.INVALID_PARAMS


async def test_what_only_looks_like_an_envelope_is_a_plain_post(open_test_hub, serve) -> None:
    async with open_test_hub() as hub, serve(hub) as served:
        told = await served.tool(
            "store_memory", memory_id="m", text="jsonrpc", metadata={"jsonrpc": "2.0"}
        )
        assert told["status"] == "stored"


async def test_a_body_that_is_too_large_is_not_kept() -> None:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"a" * (1 << 20), "more_body": True}

    async def send(message: object) -> None:
        raise AssertionError(message)

    scope = {"type": "http", "method": "POST", "path": "/store_memory", "headers": []}
    with pytest.raises(HTTPException, match="413"):
        await plain.ToolPath(Toolbox([]), "store_memory")(scope, receive, send)


async def test_a_form_and_a_page_store_nothing(open_test_hub, serve) -> None:
    async with open_test_hub() as hub, serve(hub) as served:
        form = {"content-type": "text/plain"}
        text = '{"memory_id": "m", "text": "a"}'
        for path in SINGLE:
            answer = await served.http.post(path, content=text, headers=form)
            assert answer.status_code == 415
            page = {"origin": "https://example.com"}
            assert (await served.post(path, _memory("m"), **page)).status_code == 403
        assert hub.texts("http-push") == {}
