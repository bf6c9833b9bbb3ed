"""A program with `MemoryClient` and a hub that is killed between a request and its answer."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest

from recall_client import MemoryClient
from recall_client.retries import Retries

DOCS = Path(__file__).parents[2] / "docs" / "agents.md"

# Of 0.5, but for a few seconds of decay.
ONE_FIFTH_MORE = pytest.approx(0.6, abs=1e-3)

When = Literal["before", "after"]


class KillingTransport(httpx.BaseTransport):
    """To wherever the hub is now. `kill_next`: at the next request the hub is killed, before it
    gets the request or after it has answered, and started again; the answer is lost either way."""

    def __init__(self, hub: Any) -> None:
        self._hub = hub
        self._inner = httpx.HTTPTransport()
        self.kill_next: When | None = None
        self.lost: list[dict[str, Any]] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        when, self.kill_next = self.kill_next, None
        if when != "before":
            answer = self._inner.handle_request(self._readdressed(request))
            if when is None:
                return answer
            answer.read()
            self.lost.append(answer.json())
        self._hub.restart()
        raise httpx.RemoteProtocolError("the server went away")

    def _readdressed(self, request: httpx.Request) -> httpx.Request:
        now = httpx.URL(self._hub.url)
        headers = [(k, v) for k, v in request.headers.raw if k.lower() != b"host"]
        url = request.url.copy_with(host=now.host, port=now.port)
        return httpx.Request(
            request.method,
            url,
            headers=[(b"Host", now.netloc), *headers],
            content=request.read(),
            extensions=request.extensions,
        )

    def close(self) -> None:
        self._inner.close()


@pytest.fixture
def wire(hub: Any) -> KillingTransport:
    return KillingTransport(hub)


@pytest.fixture
def client(hub: Any, wire: KillingTransport) -> Iterator[MemoryClient]:
    retries = Retries(uniform=lambda _, __: 0.0)
    with MemoryClient(hub.url, transport=wire, retries=retries, agent_id="analyst") as opened:
        yield opened


@pytest.mark.timeout(300)
def test_a_hub_killed_between_a_request_and_its_answer_does_it_once(
    hub: Any, fleet: Any, client: MemoryClient, wire: KillingTransport
) -> None:
    parent = done(client.add_memory("the parent"))["memory_id"]
    moments: tuple[When, When] = ("before", "after")
    for when in moments:
        wire.kill_next = when
        done(client.add_memory(f"killed {when}", parent_id=parent))
    children = done(client.get_children(parent))
    assert children["count"] == 2
    assert {one["content"] for one in children["results"]} == {"killed before", "killed after"}
    assert wire.lost[0]["memory_id"] in {one["memory_id"] for one in children["results"]}
    wire.kill_next = "after"
    assert done(client.reinforce_memory(parent, 1.2))["new_importance"] == ONE_FIFTH_MORE
    assert done(client.get_memory(parent))["memory"]["importance"] == ONE_FIFTH_MORE
    assert client.get_circuit_breaker_status()["failure_count"] == 0
    hub.kill()
    assert fleet.json("recalld", "verify")["problems"] == []


@pytest.mark.timeout(300)
def test_the_documented_example_runs_as_it_stands(hub: Any) -> None:
    section = DOCS.read_text(encoding="utf-8").partition("\n## Client\n")[2]
    example = section.partition("```python\n")[2].partition("```")[0]
    assert "http://127.0.0.1:8682" in example
    with MemoryClient(hub.url, agent_id="analyst", user_id="u-1") as earlier:
        done(earlier.add_memory("The refresh token rotates at midnight."))
        hub.wait_until(lambda: done(earlier.search_memory("refresh token"))["count"] == 1)
    code = example.replace("http://127.0.0.1:8682", hub.url)
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert run.returncode == 0, run.stderr
    found, outcome, importance, deleted = run.stdout.splitlines()
    assert found.endswith(" The refresh token rotates at midnight.")
    assert (outcome, float(importance)) == ("advanced", ONE_FIFTH_MORE)
    assert deleted.startswith("['mem_")


def done(answer: dict[str, Any]) -> dict[str, Any]:
    assert answer["status"] == "success", answer
    return answer
