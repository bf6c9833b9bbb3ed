"""`recalld rebuild`: the index made anew beside the one that serves, by job, route and command."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from recall_daemon.commands import program
from recall_daemon.index import health
from recall_daemon.index.follower import Counts
from recall_daemon.index.state import Applied
from recall_daemon.jobs import Progress
from recall_daemon.rebuild import rebuild_job
from recall_wire.records import Record

RECORDS = [Record(f"m{n}", text=f"the word{n} here") for n in range(40)]


async def test_the_job_makes_everything_anew_and_says_what(
    open_test_hub: Any, publisher: Any, tmp_path: Path
) -> None:
    async with open_test_hub() as hub:
        publisher.publish("a", 1, RECORDS)
        await hub.once()
        before = hub.verify()
        run = await hub.hub.jobs.run("rebuild")

        assert (run.state, run.detail) == ("done", "40 rows and 40 vectors")
        assert run.done == run.total
        assert sorted(p.name for p in (tmp_path / "hub" / "index").iterdir()) == [
            "2",
            "current.json",
        ]
        assert hub.search("word7")[0] == "m7"
        assert hub.verify() == before


async def test_a_job_that_is_stopped_leaves_what_served(
    open_test_hub: Any, publisher: Any, tmp_path: Path
) -> None:
    async with open_test_hub() as hub:
        publisher.publish("a", 1, RECORDS)
        await hub.once()
        progress = Progress()
        progress.stop()
        with pytest.raises(Exception, match="the hub is stopping"):
            rebuild_job(hub.hub.core.index, hub.hub.core.feed).work(progress)

        assert [p.name for p in (tmp_path / "hub" / "index").iterdir()] == ["1"]
        hub.verify()


async def test_the_route_begins_the_job(open_test_hub: Any, publisher: Any) -> None:
    async with open_test_hub() as hub:
        publisher.publish("a", 1, RECORDS)
        await hub.once()
        transport = httpx.ASGITransport(hub.app())
        scheduler = asyncio.create_task(hub.hub.jobs.schedule())
        async with httpx.AsyncClient(transport=transport, base_url="http://hub") as http:
            await asyncio.sleep(0)
            begun = await http.post("/v1/rebuild")
            assert begun.status_code == 202
            assert begun.json()["kind"] == "rebuild"
            state = "running"
            while state == "running":
                listed = (await http.get("/v1/jobs")).json()["jobs"]
                (run,) = (job for job in listed if job["kind"] == "rebuild")
                state = run["state"]
        scheduler.cancel()
        assert (state, run["job_id"]) == ("done", begun.json()["job_id"])


async def test_the_command_needs_neither_daemon_nor_bucket(
    open_test_hub: Any,
    publisher: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with open_test_hub() as hub:
        publisher.publish("a", 1, RECORDS)
        await hub.once()
    capsys.readouterr()
    monkeypatch.setenv("RECALLD_DATA_DIR", str(tmp_path / "hub"))
    monkeypatch.setenv("RECALLD_EMBEDDER", "hash")
    monkeypatch.delenv("RECALLD_BUCKET_URL", raising=False)

    code = await asyncio.to_thread(program._run, ["rebuild", "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert (code, answer) == (0, {"state": "done", "detail": "40 rows and 40 vectors"})

    code = await asyncio.to_thread(program._run, ["verify", "--sample", "50", "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert (code, answer["ok"], answer["problems"]) == (0, True, [])


def counts(**values: Any) -> Counts:
    usual: dict[str, Any] = {
        "rows": 9,
        "vectors": 9,
        "tail_vectors": 9,
        "unusable_vectors": 0,
        "lacking_rows": 0,
        "applied": Applied(9, 9),
        "sealing": False,
        "rebuilding": False,
        "progress": 9,
        "why_not_sealed": None,
    }
    return Counts(**(usual | values))


@pytest.mark.parametrize(
    ("values", "followed", "failure", "said"),
    [
        ({}, True, None, "ok"),
        ({"progress": 4}, False, None, "still reading the store: 4 of 9 changes"),
        ({}, False, "the disk is full", "the disk is full"),
        ({}, True, "the disk is full", "the disk is full"),
        (
            {"lacking_rows": 3},
            True,
            None,
            "3 cold rows lack their words: texts are not fetched yet",
        ),
        ({"why_not_sealed": "E"}, True, None, "its newest vectors stay in memory: E"),
        (
            {"rebuilding": True, "progress": 5},
            True,
            None,
            "ok, and being made anew: 5 of 9 changes",
        ),
    ],
)
def test_what_is_said_of_an_index(
    values: dict[str, Any], followed: bool, failure: str | None, said: str
) -> None:
    assert health.health(counts(**values), 9, followed=followed, failure=failure) == said
