"""`recalld pull`, its route and its job: by a hub that runs, and without one."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # peers
sys.path.insert(0, str(Path(__file__).parents[1]))  # hubs

import hubs
from peers import Seen, mcp_instance, memory, plain_instance, saying, served

from recall_daemon.commands import program
from recall_daemon.commands.pull import sync_all_instances
from recall_daemon.settings import HubSettings, load_settings

TWO = [memory(1, created_at=None), memory(2, created_at=None)]
TOLD = {"memories_fetched": 2, "memories_synced": 2, "embeddings_generated": 2, "errors": []}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings of a hub that has no bucket."""
    monkeypatch.setenv("RECALLD_DATA_DIR", str(tmp_path / "hub"))
    monkeypatch.setenv("RECALLD_EMBEDDER", "hash")
    monkeypatch.setenv("RECALLD_HTTP_PORT", "0")
    return tmp_path / "hub"


@pytest.fixture
def recalld(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command line in a thread: (exit code, standard output, standard error)."""

    async def run(*arguments: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(program._run, arguments)
        out, err = capsys.readouterr()
        return code, out, err

    return run


async def test_without_a_hub_and_without_a_bucket(folder: Path, recalld: Any) -> None:
    async with (
        served(mcp_instance(lambda: TWO)) as good,
        served(saying(b"<html>", "text/html")) as bad,
    ):
        code, out, _ = await recalld("pull", good, "--json")
        assert (code, json.loads(out)["success"]) == (0, True)
        assert {name: json.loads(out)[name] for name in TOLD} == TOLD
        code, out, _ = await recalld("pull", good, bad)
        assert code == 3
        assert "0" in out
        assert "web page" in out
        again = await asyncio.to_thread(sync_all_instances, (good,), "", 10, False)
        assert (again["memories_fetched"], again["memories_synced"]) == (2, 0)


async def test_by_the_hub_that_runs(
    folder: Path, publisher: Any, recalld: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Seen(plain_instance(lambda: TWO))
    async with served(seen) as url:
        monkeypatch.setenv("RECALLD_BUCKET_URL", f"file://{publisher.root}")
        monkeypatch.setenv("RECALLD_PULL_INSTANCES", json.dumps([{"url": url, "system": "desk"}]))
        monkeypatch.setenv("RECALLD_PULL_TOKEN", "secret")
        told: asyncio.Queue[str] = asyncio.Queue()
        running = asyncio.create_task(hubs.run(load_settings(), announce=told.put_nowait))
        try:
            await told.get()
            code, out, _ = await recalld("pull", "--full", "--query", "x", "--limit", "7", "--json")
            answer = json.loads(out.splitlines()[-1])
            assert (code, {name: answer[name] for name in TOLD}) == (0, TOLD)
            assert answer["instances"][0]["system_id"] == "desk"
            code, _, err = await recalld("pull", "ftp://x")
            assert (code, "is not an address" in err) == (2, True)
        finally:
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
    assert seen.asked()[-1] == {"query": "x", "limit": 7, "min_score": 0.0}
    assert seen.headers[-1]["authorization"] == "Bearer secret"


async def test_who_answers(folder: Path, recalld: Any) -> None:
    async with served(mcp_instance(lambda: TWO)) as url:
        code, out, _ = await recalld("pull", url, "http://127.0.0.1:1", "--check", "--json")
    healthy = {one["url"]: one["healthy"] for one in json.loads(out)["instances"]}
    assert (code, healthy) == (3, {url: True, "http://127.0.0.1:1": False})
    assert not (folder / "store.duckdb").exists()


async def test_the_schedule_pulls_and_says_what_went_wrong(open_test_hub: Any) -> None:
    async with served(plain_instance(lambda: TWO)) as url:
        names = [{"url": url, "system": "desk"}, "http://127.0.0.1:1"]
        async with open_test_hub(pull_instances=names, pull_interval_s=60) as hub:
            run = await hub.hub.jobs.run("pull")
            assert (run.state, run.done, run.total) == ("done", 2, 2)
            assert run.detail.startswith("2 of 2 memories were new; http://127.0.0.1:1: it does")
            assert hub.texts("desk") == {"m1": "memory 1", "m2": "memory 2"}
            assert await hub.hub.finish() == 0
            assert sorted(hub.search("memory")) == ["m1", "m2"]
            hub.verify()
    async with open_test_hub(pull_instances=["http://127.0.0.1:1"]) as hub:
        assert (await hub.hub.jobs.run("pull")).state == "failed"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"urls": ["http://127.0.0.1:1"]}, 200),
        ({"urls": ["file:///etc/passwd"]}, 422),
        ({"urls": "http://x"}, 422),
        ({"limit": 0}, 422),
        ({"nonsense": 1}, 422),
    ],
)
async def test_the_route(open_test_hub: Any, body: Any, status: int) -> None:
    async with open_test_hub() as hub:
        transport = httpx.ASGITransport(hub.app(), client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            answer = await http.post("/v1/pull", json=body)
    assert answer.status_code == status, answer.text
    if status == 200:
        assert answer.json()["errors"][0]["url"] == "http://127.0.0.1:1"


@pytest.mark.parametrize(
    "instance",
    [
        "ftp://x",
        {"url": "http://x", "system": "no/system"},
        {"url": "http://x", "token_env": "RECALLD_X"},
        {"url": "http://x", "token": "secret"},
    ],
)
def test_an_instance_that_cannot_be_configured(instance: Any) -> None:
    with pytest.raises(ValueError, match="pull_instances"):
        HubSettings(pull_instances=[instance])
