"""The hub as the doctor sees it, over real HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from recall_uploader.doctor.examine import examine
from recall_uploader.methods.hub import HubClient
from recall_wire.doctor.finding import Finding

TOLD = {
    "system_id": "laptop",
    "highest_seq": 4,
    "manifest_sha256": None,
    "machine": None,
    "instance_id": None,
    "complete_to": 3,
    "missing": [],
    "quarantined": [],
}
TOKEN = "a-token-of-this-hub"


class Hub(BaseHTTPRequestHandler):
    date = ""

    def do_GET(self) -> None:
        known = self.headers.get("authorization") == f"Bearer {TOKEN}"
        body = json.dumps(TOLD if known else {"code": "x", "detail": "no such token"}).encode()
        self.send_response(200 if known or self.path == "/healthz" else 401)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def date_time_string(self, timestamp: float | None = None) -> str:
        return self.date or super().date_time_string(timestamp)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    servers: list[ThreadingHTTPServer] = []

    def start(**settings: Any) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("One", (Hub,), settings))
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def hub_lines(instance_of: Any, bucket: Any, notes: Any) -> Callable[..., list[Finding]]:
    def look(url: str, token: str | None = TOKEN, **settings: Any) -> list[Finding]:
        known = {"bucket_url": bucket.url, "source": notes, "hub_url": url}
        instance = replace(
            instance_of(**{**known, **settings}),
            connect_hub=lambda: HubClient(url, token),
            clock=lambda: datetime.now(UTC),
        )
        return [f for f in examine(instance) if f.check == "hub" or "the hub's" in f.says]

    return look


def test_a_hub_that_takes_pushes(serve: Any, hub_lines: Any) -> None:
    found = hub_lines(serve())
    assert "takes pushes; it has everything up to snapshot 3" in found[0].says
    assert {f.level for f in found} == {"ok"}
    assert found[1].says == "agrees with the hub's"


def test_a_wrong_token_is_a_warning_and_the_token_is_not_said(serve: Any, hub_lines: Any) -> None:
    found = hub_lines(serve(), token="hunter2hunter2")
    assert (found[0].level, found[0].remedy) == ("warning", "see to hub_token")
    assert "hunter2" not in repr(found)


def test_without_a_bucket_it_is_the_only_way(serve: Any, hub_lines: Any) -> None:
    assert hub_lines("http://127.0.0.1:9")[0].level == "warning"
    assert hub_lines("http://127.0.0.1:9", force_method="http")[0].level == "problem"


def test_it_may_not_stand_in(serve: Any, hub_lines: Any) -> None:
    found = hub_lines(serve(), enable_fallback=False)
    assert any(f.level == "note" and "do not let it" in f.says for f in found)


def test_its_clock_is_compared(serve: Any, hub_lines: Any) -> None:
    found = hub_lines(serve(date="Wed, 01 Jan 2020 00:00:00 GMT"))
    assert any(f.level == "warning" and "ahead of the hub's" in f.says for f in found)


def test_no_hub_is_a_note(instance_of: Any) -> None:
    found = [f for f in examine(instance_of()) if f.check == "hub"]
    assert [f.level for f in found] == ["note"]
