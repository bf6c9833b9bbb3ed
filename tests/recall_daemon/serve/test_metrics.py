"""`GET /metrics`: what Prometheus reads, for whom, and that no label is without bounds."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from recall_daemon.access.caller import Caller
from recall_daemon.metrics import REGISTRY
from recall_daemon.search.measured import measured
from recall_daemon.search.query import SearchRequest
from recall_daemon.search.reach import Reach
from recall_daemon.serve import who
from recall_daemon.serve.guard import Guard
from recall_daemon.serve.observed import Observed
from recall_wire.errors import TerminalError
from recall_wire.records import Record

LABELS = {
    *("outcome", "kind", "stage", "tier", "part", "mode", "route", "method", "status", "reason"),
    *("breaker", "error_type", "version", "le"),
}
BASE = "http://127.0.0.1:8682"


def client(opened: Any) -> httpx.AsyncClient:
    app = Observed(Guard(opened.app(), port=8682))
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url=BASE
    )


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_prometheus_reads_it_and_no_label_is_without_bounds(
    open_test_hub: Any, publisher: Any
) -> None:
    publisher.publish("laptop-of-canary", 1, [Record("canary-id", text="canary text")])
    async with open_test_hub() as opened:
        await opened.once()
        async with client(opened) as http:
            await http.post("/v1/search", json={"query": "canary"})
            await http.get("/v1/quarantine/laptop-of-canary/77")
            await http.get("/no/such/canary")
            answer = await http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = list(text_string_to_metric_families(answer.text))
    assert len({family.name for family in families}) == len(families) > 25
    assert all(family.documentation for family in families)
    used = {name for family in families for sample in family.samples for name in sample.labels}
    assert used <= LABELS
    assert "canary" not in answer.text
    for name in (
        "memory_sync_latency_seconds_bucket",
        "memory_consistency_errors_total",
        "faiss_index_size",
        "process_resident_memory_bytes",
    ):
        assert f"\n{name}" in answer.text


async def test_requests_are_counted_by_template_and_status(open_test_hub: Any) -> None:
    async with open_test_hub() as opened, client(opened) as http:
        template = "/v1/quarantine/{system_id}/{seq}"
        cases = [
            ("/v1/quarantine/x/1", template, "404"),
            ("/healthz", "/healthz", "200"),
            ("/no/such/place", "other", "404"),
        ]
        for path, route, status in cases:
            labels = {"route": route, "method": "GET", "status": status}
            before = value("recalld_http_requests_total", **labels)
            timed = value("recalld_http_seconds_count", route=route)
            await http.get(path)
            assert value("recalld_http_requests_total", **labels) == before + 1, path
            assert value("recalld_http_seconds_count", route=route) == timed + 1, path
        odd = {"route": "other", "method": "other", "status": "405"}
        before = value("recalld_http_requests_total", **odd)
        await http.request("BREW", "/healthz")
        counted = [
            value("recalld_http_requests_total", route=route, method="other", status="405")
            for route in ("/healthz", "other")
        ]
        assert sum(counted) == before + 1


@pytest.mark.parametrize(
    ("caller", "status"),
    [
        (Caller("a", "admin"), 200),
        (Caller("all", "reader"), 200),
        (Caller("some", "reader", reach=Reach(systems=frozenset({"a"}))), 403),
        (Caller("p", "reader", reach=Reach(projects=frozenset({"p"}))), 403),
        (Caller("i", "instance", "a", Reach(systems=frozenset({"a"}))), 403),
    ],
)
async def test_only_who_sees_everything_reads_the_metrics(
    open_test_hub: Any, monkeypatch: pytest.MonkeyPatch, caller: Caller, status: int
) -> None:
    monkeypatch.setattr(who, "caller_of", lambda _: caller)
    before = value("recalld_tokens_refused_total", reason="forbidden")
    async with open_test_hub() as opened, client(opened) as http:
        assert (await http.get("/metrics")).status_code == status
    refused = value("recalld_tokens_refused_total", reason="forbidden") - before
    assert refused == (status == 403)


async def test_searches_are_timed_by_mode_and_outcome(open_test_hub: Any, publisher: Any) -> None:
    publisher.publish("a", 1, [Record("m", text="one")])
    async with open_test_hub() as opened:
        await opened.once()
        for mode in ("words", "hybrid"):
            labels = {"mode": mode, "outcome": "ok"}
            before = value("recalld_search_seconds_count", **labels)
            opened.hub.core.operations.search(SearchRequest("one", mode=mode))
            assert value("recalld_search_seconds_count", **labels) == before + 1


@pytest.mark.parametrize(("error", "outcome"), [(TerminalError, "refused"), (OSError, "failed")])
def test_a_search_that_raises_is_timed_too(error: type[Exception], outcome: str) -> None:
    before = value("recalld_search_seconds_count", mode="words", outcome=outcome)
    with pytest.raises(error), measured("words"):
        raise error("x")
    assert value("recalld_search_seconds_count", mode="words", outcome=outcome) == before + 1


async def test_a_merge_is_counted_once_with_its_lags(open_test_hub: Any, publisher: Any) -> None:
    names = [
        ("recalld_snapshots_total", {"outcome": "merged"}),
        ("recalld_snapshots_total", {"outcome": "quarantined"}),
        ("recalld_rows_merged_total", {}),
        ("recalld_lag_seconds_count", {"stage": "merge"}),
        ("memory_sync_latency_seconds_count", {}),
    ]
    before = [value(name, **labels) for name, labels in names]
    publisher.publish("a", 1, [Record("m", text="one"), Record("n", text="two")])
    publisher.commit("b", 1, b"{}")
    async with open_test_hub() as opened:
        await opened.once()
    after = [value(name, **labels) for name, labels in names]
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 1, 2, 2, 1]


async def test_verify_counts_what_is_wrong_by_part(open_test_hub: Any, publisher: Any) -> None:
    publisher.publish("a", 1, [Record("m", text="one")])
    async with open_test_hub() as opened:
        await opened.once()
        before = value("memory_consistency_errors_total", error_type="store")
        opened.hub.core.operations.verify()
        assert value("memory_consistency_errors_total", error_type="store") == before
        opened.hub.core.store.write(lambda c: c.execute("UPDATE memories SET text = 'other'"))
        problems = opened.hub.core.operations.verify()["problems"]
        assert value("memory_consistency_errors_total", error_type="store") == before + len(
            problems
        )
        assert problems
