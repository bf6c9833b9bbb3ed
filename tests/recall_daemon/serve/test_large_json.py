"""Large bodies are the same values, and the loop goes on while they are parsed."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from typing import Any

import httpx
import pytest

from recall_daemon.serve import large_json
from recall_daemon.serve.guard import Guard
from recall_daemon.serve.memories import BATCH

BASE = "http://127.0.0.1:8682"


def body(memories: int) -> bytes:
    texts = [{"memory_id": f"m{n}", "text": f"{n} " + "word " * 200} for n in range(memories)]
    return json.dumps({"system": "a", "memories": texts}).encode()


async def test_only_a_large_body_takes_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []
    loads = json.loads

    def watched(data: bytes, **options: Any) -> Any:
        threads.append(threading.get_ident())
        return loads(data, **options)

    monkeypatch.setattr(large_json.json, "loads", watched)
    for count in (1, 1_000):
        assert await large_json.parse(body(count)) == loads(body(count))
    here = threading.get_ident()
    assert [one == here for one in threads] == [True, False]


async def test_the_loop_goes_on_between_two_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = 0
    seen: list[int] = []

    def noted(value: dict[str, Any]) -> dict[str, Any]:
        seen.append(turns)
        return value

    monkeypatch.setattr(large_json, "_as_it_is", noted)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        parsing = asyncio.create_task(large_json.parse(body(10_000)))
        while not parsing.done():
            turns += 1
            await asyncio.sleep(0)
    finally:
        sys.setswitchinterval(before)
    assert len((await parsing)["memories"]) == 10_000
    assert seen[-1] > seen[0]


async def test_every_route_reads_its_body_so(
    open_test_hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large_json, "LARGE_BYTES", 10)
    asked: list[int] = []
    parse = large_json.parse

    async def watched(data: bytes) -> Any:
        asked.append(len(data))
        return await parse(data)

    monkeypatch.setattr(large_json, "parse", watched)
    async with open_test_hub() as hub:
        transport = httpx.ASGITransport(Guard(hub.app(), port=8682, allowances=(BATCH,)))
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as http:
            answer = await http.post(
                "/v1/memories/batch",
                content=body(3),
                headers={"content-type": "application/json"},
            )
            assert (answer.status_code, answer.json()["stored"]) == (200, 3)
            plain = {"memory_id": "m", "text": "plain", "metadata": {"source": "s"}}
            assert (await http.post("/store_memory", json=plain)).json()["status"] == "stored"
            for content, status in ((b"[" * 100_000, 400), (b'{"query": ' + b" " * 20, 422)):
                broken = await http.post(
                    "/v1/search", content=content, headers={"content-type": "application/json"}
                )
                assert (broken.status_code, "Traceback" in broken.text) == (status, False)
    assert len(asked) == 4
