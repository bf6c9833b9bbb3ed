"""`recalld add`, `get`, `recent` and `related`: the same with and without a daemon."""

from __future__ import annotations

import asyncio
import io
import sys
from typing import Any

import pytest

from recall_daemon.commands import program


def story(recalld: Any) -> None:
    """Each command, as JSON and for people."""
    asked = ("--system", "laptop", "--id", "a/b", "--project", "shop", "--tag", "x", "--tag", "y")
    added = recalld.json("add", "the deploy failed", *asked, "--kind", "insight")
    assert (added["status"], added["memory_id"]) == ("stored", "a/b")
    code, out, _ = recalld("add", "another", "--system", "laptop", "--id", "c")
    assert (code, out) == (0, "stored laptop/c\n")

    shown = recalld.json("get", "laptop/a/b")
    assert (shown["text"], shown["tags"], shown["kind"], shown["project"]) == (
        "the deploy failed",
        ["x", "y"],
        "insight",
        "shop",
    )
    code, out, _ = recalld("get", "laptop/a/b")
    assert code == 0
    assert out.endswith("\nthe deploy failed\n")

    listed = recalld.json("recent", "--limit", "1")
    assert [one["memory_id"] for one in listed["memories"]] == ["c"]
    rest = recalld.json("recent", "--limit", "1", "--cursor", listed["next_cursor"])
    assert [one["memory_id"] for one in rest["memories"]] == ["a/b"]
    assert rest["next_cursor"] is None
    code, out, _ = recalld("recent", "--limit", "1")
    assert "laptop/c  another" in out
    assert f"more: --cursor {listed['next_cursor']}" in out
    filtered = recalld.json("recent", "--tag", "x", "--project", "shop", "--kind", "insight")
    assert [one["memory_id"] for one in filtered["memories"]] == ["a/b"]

    near = recalld.json("related", "laptop/a/b")
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
    assert recalld.json("add", "-", "--system", "s", "--id", "piped")["memory_id"] == "piped"
    assert recalld.json("get", "s/piped")["text"] == "from\nelsewhere\n"
    for mistyped in (("--projct=x",), ("--projct", "x", "text")):
        assert recalld("add", "--system", "s", *mistyped)[0] == program.REFUSED
    assert len(recalld.json("recent")["memories"]) == 3


async def test_through_a_daemon(recalld: Any, running: Any) -> None:
    async with running():
        await asyncio.to_thread(story, recalld)
