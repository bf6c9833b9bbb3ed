"""`recalld add`, `get`, `recent` and `related`: the same with and without a daemon."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from recall_daemon import daemon
from recall_daemon.commands import program
from recall_daemon.settings import load_settings


@pytest.fixture
def recalld(tmp_path: Path, publisher: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Any:
    """Runs a command line of a hub of its own: (exit code, standard output, standard error).

    What the daemon logs meanwhile is left out.
    """
    for name, value in {
        "RECALLD_BUCKET_URL": f"file://{publisher.root}",
        "RECALLD_DATA_DIR": str(tmp_path / "hub"),
        "RECALLD_EMBEDDER": "hash",
        "RECALLD_HTTP_PORT": "0",
    }.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = program._run(arguments)
        said = capsys.readouterr()
        lines = said.out.splitlines(keepends=True)
        return code, "".join(line for line in lines if "[info " not in line), said.err

    return run


@asynccontextmanager
async def running() -> AsyncIterator[None]:
    """A daemon, while it answers."""
    told = asyncio.Event()
    task = asyncio.create_task(daemon.run(load_settings(), announce=lambda _: told.set()))
    first = asyncio.create_task(told.wait())
    await asyncio.wait({task, first}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        first.cancel()
        await task  # raises what it ended with
    try:
        yield
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        await task


def told(recalld: Any, *arguments: str) -> Any:
    code, out, err = recalld(*arguments, "--json")
    assert code == 0, err
    return json.loads(out.splitlines()[-1])


def story(recalld: Any) -> None:
    """Each command, as JSON and for people."""
    asked = ("--system", "laptop", "--id", "a/b", "--project", "shop", "--tag", "x", "--tag", "y")
    added = told(recalld, "add", "the deploy failed", *asked, "--kind", "insight")
    assert (added["status"], added["memory_id"]) == ("stored", "a/b")
    code, out, _ = recalld("add", "another", "--system", "laptop", "--id", "c")
    assert (code, out) == (0, "stored laptop/c\n")

    shown = told(recalld, "get", "laptop/a/b")
    assert (shown["text"], shown["tags"], shown["kind"], shown["project"]) == (
        "the deploy failed",
        ["x", "y"],
        "insight",
        "shop",
    )
    code, out, _ = recalld("get", "laptop/a/b")
    assert code == 0
    assert out.endswith("\nthe deploy failed\n")

    listed = told(recalld, "recent", "--limit", "1")
    assert [one["memory_id"] for one in listed["memories"]] == ["c"]
    rest = told(recalld, "recent", "--limit", "1", "--cursor", listed["next_cursor"])
    assert [one["memory_id"] for one in rest["memories"]] == ["a/b"]
    assert rest["next_cursor"] is None
    code, out, _ = recalld("recent", "--limit", "1")
    assert "laptop/c  another" in out
    assert f"more: --cursor {listed['next_cursor']}" in out
    filtered = told(recalld, "recent", "--tag", "x", "--project", "shop", "--kind", "insight")
    assert [one["memory_id"] for one in filtered["memories"]] == ["a/b"]

    near = told(recalld, "related", "laptop/a/b")
    assert (near["system_id"], near["memory_id"]) == ("laptop", "a/b")
    code, out, _ = recalld("related", "laptop/a/b")
    assert code == 0
    assert "nearest" in out

    for refused, says in (
        (("get", "laptop/never"), "no such memory"),
        (("get", "laptop"), "SYSTEM/MEMORY_ID"),
        (("add", " ", "--system", "laptop"), "text is empty"),
        (("add", "x", "--system", "no system"), "no system's id"),
        (("recent", "--limit", "0"), "limit"),
    ):
        code, out, err = recalld(*refused)
        assert (code, out) == (program.REFUSED, ""), refused
        assert says in err
        assert "Traceback" not in err


def test_without_a_daemon(recalld: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    story(recalld)
    monkeypatch.setattr(sys, "stdin", io.StringIO("from\nelsewhere\n"))
    assert told(recalld, "add", "-", "--system", "s", "--id", "piped")["memory_id"] == "piped"
    assert told(recalld, "get", "s/piped")["text"] == "from\nelsewhere\n"
    for mistyped in (("--projct=x",), ("--projct", "x", "text")):
        assert recalld("add", "--system", "s", *mistyped)[0] == program.REFUSED
    assert len(told(recalld, "recent")["memories"]) == 3


async def test_through_a_daemon(recalld: Any) -> None:
    async with running():
        await asyncio.to_thread(story, recalld)
