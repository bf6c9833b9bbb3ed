"""The access line: one a request, with the request's id in everything that the request logs."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
import structlog
from structlog.testing import LogCapture

from recall_daemon.access.caller import Caller
from recall_daemon.metrics import REGISTRY
from recall_daemon.serve.guard import Guard
from recall_daemon.serve.observed import Observed

BASE = "http://127.0.0.1:8682"


@pytest.fixture
def logged() -> Any:
    capture = LogCapture()
    before = structlog.get_config()
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, capture])
    yield capture.entries
    structlog.configure(**before)


def client(app: Any) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(Observed(Guard(app, port=8682)), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=BASE)


async def test_one_line_a_request_without_path_query_or_body(
    open_test_hub: Any, logged: list[dict[str, Any]]
) -> None:
    async with open_test_hub() as opened, client(opened.app()) as http:
        logged.clear()
        id_ = {"x-request-id": "mine-1", "authorization": "Bearer rct_canary"}
        await http.post("/v1/search", json={"query": "canary"}, headers=id_)
        await http.get("/v1/memories?project=canary")
        await http.get("/v1/quarantine/canary/7")
        await http.get("/healthz")
    lines = [entry for entry in logged if entry["event"] == "request"]
    assert "canary" not in repr(lines)
    assert [(line["route"], line["status"], line["log_level"]) for line in lines] == [
        ("/v1/search", 200, "info"),
        ("/v1/memories", 200, "info"),
        ("/v1/quarantine/{system_id}/{seq}", 404, "info"),
        ("/healthz", 200, "debug"),
    ]
    assert lines[0].keys() == {
        *("event", "log_level", "method", "route", "status", "ms", "caller", "request_id")
    }
    assert (lines[0]["request_id"], lines[0]["caller"]) == ("mine-1", "loopback")
    assert lines[0]["ms"] > 0


async def test_all_that_a_request_logs_has_its_id_also_from_a_thread(
    logged: list[dict[str, Any]],
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.to_thread(structlog.get_logger().warning, "inside")
        raise RuntimeError("the app broke")

    async with client(app) as http:
        await asyncio.gather(*(http.get("/", headers={"x-request-id": f"r{n}"}) for n in range(9)))
    structlog.get_logger().warning("outside")
    inside = [entry for entry in logged if entry["event"] == "inside"]
    assert sorted(entry["request_id"] for entry in inside) == [f"r{n}" for n in range(9)]
    assert "request_id" not in logged[-1]
    assert {e["status"] for e in logged if e["event"] == "request"} == {500}


@pytest.mark.parametrize(
    ("status", "caller", "reason"),
    [
        (401, None, "unauthorized"),
        (403, Caller("r", "reader"), "forbidden"),
        (403, None, None),
        (404, Caller("r", "reader"), None),
    ],
)
async def test_refusals_are_counted_by_reason(
    status: int, caller: Caller | None, reason: str | None
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["state"]["caller"] = caller
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def counted() -> dict[str, float]:
        name = "recalld_tokens_refused_total"
        found = {r: REGISTRY.get_sample_value(name, {"reason": r}) for r in REASONS}
        return {r: value or 0.0 for r, value in found.items()}

    before = counted()
    async with client(app) as http:
        assert (await http.get("/")).status_code == status
    after = counted()
    assert {r for r in REASONS if after[r] != before[r]} == ({reason} if reason else set())


REASONS = ("unauthorized", "forbidden")


async def test_a_client_that_went_is_neither_a_failure_nor_an_answer(
    logged: list[dict[str, Any]],
) -> None:
    async def gone(scope: Any, receive: Any, send: Any) -> None:
        return

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/mcp/x",
        "headers": [(b"host", b"127.0.0.1:8682")],
    }

    async def nothing(*_: Any) -> Any:
        raise AssertionError

    await Observed(gone)(scope, nothing, nothing)
    assert [(e["route"], e["status"]) for e in logged] == [("/mcp", 499)]
