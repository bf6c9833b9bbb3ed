"""Events as those who subscribe get them: over sockets and by the command, until the hub stops."""

from __future__ import annotations

import json
import select
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import psutil

STREAMS = 50


@contextmanager
def running(fleet: Any) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A hub with its address."""
    process = fleet.launch("recalld", "run")
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], 60)[0]
    try:
        said = process.stdout.readline().split()
        assert said, process.communicate(timeout=60)[1]
        yield process, said[-1]
    finally:
        process.kill()
        process.communicate()


def kinds(lines: Iterator[str], last: str) -> list[str]:
    """The kinds of the events, up to the first of the last one."""
    found: list[str] = []
    for line in lines:
        if line.startswith("event: "):
            found.append(line.removeprefix("event: "))
            if found[-1] == last:
                break
    return found


def test_an_event_reaches_every_stream_and_a_stop_ends_them(fleet: Any) -> None:
    limits = httpx.Limits(max_connections=None)
    with (
        running(fleet) as (process, url),
        httpx.Client(base_url=url, timeout=60, limits=limits) as http,
        ExitStack() as opened,
    ):
        streams = [
            opened.enter_context(http.stream("GET", "/v1/events")).iter_lines()
            for _ in range(STREAMS)
        ]
        assert {next(stream) for stream in streams} == {"retry: 3000"}
        http.post("/v1/jobs/rebuild/run").raise_for_status()
        assert [kinds(stream, "job.finished") for stream in streams] == [["job.finished"]] * STREAMS
        assert f"recalld_event_subscribers {STREAMS}.0" in http.get("/metrics").text
        assert psutil.Process(process.pid).num_threads() < STREAMS
        process.send_signal(signal.SIGTERM)
        assert all(kinds(stream, "never") == [] for stream in streams)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    logged = [json.loads(line) for line in errors.splitlines()]
    # Had one held the stop up, uvicorn would have cancelled it after its grace, and said so.
    assert [line for line in logged if line.get("logger", "").startswith("uvicorn")] == []
    assert len([line for line in logged if line.get("route") == "/v1/events"]) == STREAMS


def test_the_command_follows_and_lists(fleet: Any, write_db: Any) -> None:
    write_db(fleet.folder / "a.duckdb", {"m1": "one"})
    fleet.upload("laptop", fleet.folder / "a.duckdb")
    merged = ("recalld", "events", "--kind", "snapshot.merged")
    with running(fleet) as (process, _):
        following = fleet.launch(*merged, "--follow", "--json", "--after", "0")
        event = json.loads(following.stdout.readline())
        assert (event["kind"], event["system_id"]) == ("snapshot.merged", "laptop")
        assert event["body"]["rows"] == 1
        assert fleet.json(*merged)["events"] == [event]
        assert "snapshot.merged  laptop" in fleet.run("recalld", "events").stdout
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        _, why = following.communicate(timeout=60)
        assert following.returncode == 0, why
    # The same from the store, once nothing runs.
    assert fleet.json(*merged)["events"] == [event]
    assert "no hub runs here" in fleet.run("recalld", "events", "--follow", code=3).stderr
