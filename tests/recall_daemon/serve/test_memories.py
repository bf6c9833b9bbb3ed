"""The routes for single memories, as a client meets them."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from recall_daemon.memory import incoming
from recall_daemon.serve.guard import Guard
from recall_daemon.serve.memories import BATCH, ONE
from recall_daemon.serve.memory_shapes import BATCH_MAX, PostedMemory

ODD_ID = "a/b ?#%2F/ü/🚀\n.\n"


@pytest.fixture
async def hub(open_test_hub: Any) -> Any:
    async with open_test_hub() as opened:
        yield opened


@pytest.fixture
async def http(hub: Any) -> Any:
    guard = Guard(hub.app(), port=8682, allowances=(ONE, BATCH))
    transport = httpx.ASGITransport(guard, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8682") as client:
        yield client


def where(system_id: str, memory_id: str, route: str = "memories") -> str:
    return f"/v1/{route}/{system_id}/{quote(memory_id, safe='')}"


async def test_what_is_stored_is_got_listed_and_found(hub: Any, http: httpx.AsyncClient) -> None:
    body = {
        "system": "a",
        "memory_id": ODD_ID,
        "text": "the lake is calm",
        "project": "p",
        "tags": ["x", "y"],
        "created_at": "2025-01-01T00:00:00",
        "metadata": {"deep": [1, {"z": None}]},
    }
    answer = await http.post("/v1/memories", json=body)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["system_id"], answer.json()["memory_id"]) == ("a", ODD_ID)

    got = (await http.get(where("a", ODD_ID))).json()
    assert {name: got[name] for name in ("text", "project", "tags", "metadata", "tier")} == {
        "text": body["text"],
        "project": "p",
        "tags": ["x", "y"],
        "metadata": body["metadata"],
        "tier": "hot",
    }
    assert got["created_at"] == "2025-01-01T00:00:00+00:00"
    assert got["snapshot"]["kind"] == "post"
    listed = (await http.get("/v1/memories", params={"project": "p"})).json()
    assert [one["memory_id"] for one in listed["memories"]] == [ODD_ID]
    await hub.hub.finish()
    assert hub.search("calm lake") == [ODD_ID]


async def test_a_list_is_newest_first_in_pages_and_filtered(http: httpx.AsyncClient) -> None:
    memories = [
        {
            "memory_id": str(n),
            "text": f"t {n}",
            "created_at": f"2025-01-0{n + 1}",
            "tags": [f"g{n % 2}"],
        }
        for n in range(5)
    ]
    await http.post("/v1/memories/batch", json={"system": "a", "memories": memories})
    seen: list[str] = []
    cursor = None
    while True:
        asked = {"limit": 2, **({} if cursor is None else {"cursor": cursor})}
        page = (await http.get("/v1/memories", params=asked)).json()
        seen += [one["memory_id"] for one in page["memories"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == ["4", "3", "2", "1", "0"]
    asked = {"tags": "g1", "since": "2025-01-03"}
    found = (await http.get("/v1/memories", params=asked)).json()["memories"]
    assert [one["memory_id"] for one in found] == ["3"]
    for wrong in ({"cursor": "x"}, {"limit": 0}, {"limit": 101}, {"since": "yesterday"}):
        assert (await http.get("/v1/memories", params=wrong)).status_code == 422


async def test_what_is_related(hub: Any, http: httpx.AsyncClient) -> None:
    turns = [
        {
            "memory_id": f"t{n}",
            "text": f"turn {n} of apples",
            "session_id": "s",
            "created_at": f"2025-01-0{n + 1}",
        }
        for n in range(3)
    ]
    others = [
        {"memory_id": "same", "text": "turn 1 of apples"},
        {"memory_id": "far", "text": "zinc"},
    ]
    await http.post("/v1/memories/batch", json={"system": "a", "memories": [*turns, *others]})
    early = (await http.get(where("a", "t1", "related"))).json()
    assert (early["embedded"], early["nearest"]) == (False, [])
    await hub.hub.finish()

    found = (await http.get(where("a", "t1", "related"), params={"limit": 2})).json()
    assert [one["memory_id"] for one in found["before"]] == ["t0"]
    assert [one["memory_id"] for one in found["after"]] == ["t2"]
    assert {one["memory_id"] for one in found["nearest"]} == {"t0", "t2"}
    assert found["nearest"][0]["score"] > 0.5


async def test_a_batch_keeps_what_is_right_and_says_what_is_wrong(http: httpx.AsyncClient) -> None:
    memories = [{"memory_id": "x", "text": "one"}, {"memory_id": "y", "text": " "}, 7]
    answer = (
        await http.post("/v1/memories/batch", json={"system": "a", "memories": memories})
    ).json()
    assert (answer["status"], answer["total"], answer["stored"], answer["failed"]) == (
        "partial",
        3,
        1,
        2,
    )
    assert answer["memories"] == [{"index": 0, "system_id": "a", "memory_id": "x"}]
    assert [(e["index"], e["memory_id"]) for e in answer["errors"]] == [(1, "y"), (2, None)]
    assert (await http.get(where("a", "x"))).status_code == 200

    answer = (await http.post("/v1/memories/batch", json={"memories": [{}]})).json()
    assert (answer["status"], answer["stored_at"]) == ("failed", None)
    many = {"memories": [{"text": "x"}] * (BATCH_MAX + 1)}
    assert (await http.post("/v1/memories/batch", json=many)).status_code == 422


async def test_what_no_utf8_can_hold_is_refused_in_a_batch_as_anything_else(
    http: httpx.AsyncClient,
) -> None:
    body = json.dumps({"system": "a", "memories": [{"memory_id": "m\ud800", "text": "t"}]})
    headers = {"content-type": "application/json"}
    answer = await http.post("/v1/memories/batch", content=body, headers=headers)

    assert answer.status_code == 200, answer.text
    assert [error["memory_id"] for error in answer.json()["errors"]] == ["m\ufffd"]


async def test_a_batch_goes_to_the_systems_of_its_sources(http: httpx.AsyncClient) -> None:
    memories = [{"text": "x", "metadata": {"source": name}} for name in ("one", "two", "one")]
    answer = (await http.post("/v1/memories/batch", json={"memories": memories})).json()
    systems = [one["system_id"] for one in answer["memories"]]
    assert systems[0] == systems[2] != systems[1]
    assert answer["status"] == "completed"


async def test_a_key_makes_a_retry_the_same(hub: Any, http: httpx.AsyncClient) -> None:
    body = {"system": "a", "memory_id": "x", "text": "one"}
    key = {"Idempotency-Key": "k-1"}
    both = await asyncio.gather(*(http.post("/v1/memories", json=body, headers=key) for _ in "12"))
    again = await http.post("/v1/memories", json=body, headers=key)
    assert {answer.text for answer in both} == {again.text}
    other = await http.post("/v1/memories", json=body | {"text": "two"}, headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "key_reused")
    with hub.hub.core.store.read() as connection:
        stored = connection.execute(
            "SELECT count(*) FROM audit_log WHERE action = 'memories.stored'"
        ).fetchall()
    assert stored == [(1,)]


async def test_a_forgotten_one_is_gone_alone_and_for_good(http: httpx.AsyncClient) -> None:
    # Written as one name, the first could be any of both.
    memories = [{"memory_id": name, "text": f"text of {name}"} for name in ("m", "a/m")]
    await http.post("/v1/memories/batch", json={"system": "a", "memories": memories})
    receipt = await http.delete(where("a", "m"))
    assert (receipt.status_code, receipt.json()["ids"]) == (200, ["a/m"])
    assert (await http.get(where("a", "m"))).status_code == 404
    assert (await http.get(where("a", "a/m"))).status_code == 200
    await http.post("/v1/memories", json={"system": "a", "memory_id": "m", "text": "again"})
    assert (await http.get(where("a", "m"))).status_code == 404
    assert (await http.delete(where("a", "nobody"))).status_code == 404


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "there is no text"),
        ({"text": "x", "txt": 1}, "'txt' is not known"),
        ({"text": "x", "system": "../b"}, "no system's id"),
        ({"text": "x", "system": 5}, "no system's id"),
        ({"text": "x", "metadata": [1]}, "not a JSON object"),
        ({"text": "x", "metadata": {"a": float("nan")}}, "NaN"),
    ],
)
async def test_what_cannot_be_stored_is_one_sentence(
    http: httpx.AsyncClient, body: dict[str, Any], sentence: str
) -> None:
    headers = {"content-type": "application/json"}
    answer = await http.post("/v1/memories", content=json.dumps(body), headers=headers)
    assert answer.status_code == 422
    assert sentence in answer.json()["detail"]


async def test_a_long_one_and_a_large_batch_are_let_in(http: httpx.AsyncClient) -> None:
    long = {"system": "a", "text": "word " * 500_000}
    assert (await http.post("/v1/memories", json=long)).status_code == 200
    batch = {
        "system": "a",
        "memories": [{"text": "x" * 30_000, "memory_id": str(n)} for n in range(200)],
    }
    answer = await http.post("/v1/memories/batch", json=batch)
    assert (answer.status_code, answer.json()["stored"]) == (200, 200)


def test_the_document_and_the_reader_know_the_same_fields() -> None:
    assert set(PostedMemory.model_fields) == set(incoming.FIELDS)


async def test_the_document_shows_the_shapes(http: httpx.AsyncClient) -> None:
    document = (await http.get("/v1/openapi.json")).json()
    store = document["paths"]["/v1/memories"]["post"]
    schema = store["requestBody"]["content"]["application/json"]["schema"]
    assert set(schema["properties"]) == {*incoming.FIELDS, "system"}
    assert "stored_at" in json.dumps(document["components"]["schemas"]["StoredOne"])
