"""`recalld memory`, `relations`, `groups`, `sessions` and the locks of a speaker: the same with and
without a daemon."""

from __future__ import annotations

import asyncio
import io
import sys
from typing import Any

import pytest

from recall_daemon.commands import program
from recall_wire.exits import NOT_NOW

GUARD = ("--agent", "guard", "--user", "ann", "--session", "s1")
HELPER = ("--agent", "helper", "--user", "ann")


def story(recalld: Any) -> None:
    """Each command, as JSON and for people."""
    _memories(recalld)
    _found(recalld)
    _belonging(recalld)
    _locked(recalld)
    _refused(recalld)
    _deleted(recalld)


def _memories(recalld: Any) -> None:
    asked = ("--id", "door", "--type", "event", "--tier", "long", "--importance", "0.4")
    labels = ("--tag", "doors", "--category", "system_knowledge", "--metadata", '{"floor": 2}')
    told = recalld.json("memory", "add", "The door is open.", *asked, *labels, *GUARD)
    assert told["memory_id"] == "door"
    assert "memory_id  key" in recalld.said(
        *("memory", "add", "The key is lost.", "--id", "key", "--parent", "door"), *GUARD
    )
    (shown,) = recalld.json("memory", "get", "door", *GUARD)["memories"]
    assert (shown["agent_id"], shown["user_id"], shown["session_id"]) == ("guard", "ann", "s1")
    assert (shown["memory_type"], shown["memory_tier"]) == ("event", "long")
    assert (shown["metadata"], shown["tags"]) == ({"floor": 2}, ["doors"])
    said = recalld.said("memory", "get", "door", "never", *GUARD)
    assert "The door is open." in said
    assert "there is no never" in said
    (child,) = recalld.json("memory", "children", "door", *GUARD)["results"]
    assert child["memory_id"] == "key"
    assert "The key is lost." in recalld.said("memory", "children", "door", *GUARD)

    base = shown["version"]
    changed = ("--content", "The door is shut.", "--tag", "shut", "--base-version", base)
    assert recalld.json("memory", "update", "door", *changed, *GUARD)["outcome"] == "advanced"
    merged = ("--importance", "0.5", "--pinned", "--base-version", base)
    assert "outcome  merged" in recalld.said("memory", "update", "door", *merged, *GUARD)
    (shown,) = recalld.json("memory", "get", "door", *GUARD)["memories"]
    assert (shown["content"], shown["tags"]) == ("The door is shut.", ["shut"])
    assert shown["pinned"]
    told = recalld.json("memory", "reinforce", "door", "--factor", "1.5", *GUARD)
    assert told["new_importance"] == pytest.approx(0.75, abs=0.01)


def _found(recalld: Any) -> None:
    assert recalld.said(
        "memory", "search", "door", "--search-type", "words", *HELPER, "--no-shared"
    )
    told = recalld.json("memory", "share", "key", "helper", "--permission", "write", *GUARD)
    assert len(told["share_ids"]) == 1
    told = recalld.json("memory", "search", "key", *HELPER)["results"]
    seen = {one["memory"]["memory_id"]: one["seen_by"] for one in told}
    assert seen["key"] == "shared by guard"
    assert "shared by guard" in recalld.said("memory", "search", "key", *HELPER)
    assert recalld.said("memory", "search", "key", "--no-shared", *HELPER).startswith("nothing")
    newest = recalld.json("memory", "search", "--limit", "1", "--type", "event", *GUARD)
    assert [one["memory"]["memory_id"] for one in newest["results"]] == ["door"]
    past = ("--until", "2001-01-01", "--system", "agents", "--tag", "shut")
    assert recalld.json("memory", "search", *past, *GUARD)["count"] == 0


def _belonging(recalld: Any) -> None:
    asked = ("relations", "add", "key", "door", "--type", "opens", "--strength", "0.5")
    number = recalld.json(*asked, *GUARD)["relationship_id"]
    (one,) = recalld.json("relations", "key", *GUARD)["related_memories"]
    assert one["relationship"]["direction"] == "outgoing"
    assert "opens" in recalld.said("relations", "door", "--direction", "incoming", *GUARD)
    assert recalld.json("relations", "key", "--type", "shuts", *GUARD)["count"] == 0
    recalld.json("relations", "remove", str(number), *GUARD)
    assert recalld.said("relations", "key", *GUARD) == "nothing that you may see\n"

    told = recalld.json("groups", "create", "of the door", "door", "--description", "All.", *GUARD)
    group = str(told["group_id"])
    assert recalld.json("groups", "add", group, "door", "key", *GUARD)["added"] == 1
    shown = recalld.json("groups", "show", group, *GUARD)["results"]
    assert [one["memory_id"] for one in shown] == ["door", "key"]
    assert "The key is lost." in recalld.said("groups", "show", group, *GUARD)
    recalld.json("groups", "create", "of keys", "key", *GUARD)
    both = recalld.json("groups", *GUARD, "--limit", "1")
    assert [one["name"] for one in both["groups"]] == ["of keys"]
    rest = recalld.json("groups", *GUARD, "--before", str(both["next_before"]))
    assert [one["name"] for one in rest["groups"]] == ["of the door"]
    (one,) = recalld.json("groups", "--memory", "door", *GUARD)["groups"]
    assert (str(one["group_id"]), one["description"]) == (group, "All.")
    assert "of keys" in recalld.said("groups", *GUARD)
    assert recalld.said("groups", *HELPER) == "there is no group that you may see\n"
    assert recalld.json("sessions", "create", "s2", *GUARD) == {"session_id": "s2"}
    assert recalld.said("sessions", "create", *GUARD).startswith("session_id  ses_")


def _locked(recalld: Any) -> None:
    fence = str(recalld.json("locks", "acquire", "key", "--lease-s", "60", *GUARD)["fence"])
    later = recalld.json("locks", "renew", "key", "--fence", fence, *GUARD)
    assert later["depth"] == 1
    changed = ("memory", "update", "key", "--content", "The key is here.")
    code, _, err = recalld(*changed, *HELPER)
    assert (code, "another holds the lock" in err) == (NOT_NOW, True)
    code, _, err = recalld("locks", "acquire", "key", "--wait-s", "0", *HELPER)
    assert (code, "another holds the lock" in err) == (NOT_NOW, True)
    assert recalld.json(*changed, "--fence", fence, *GUARD)["outcome"] == "advanced"
    assert "depth  0" in recalld.said("locks", "release", "key", "--fence", fence, *GUARD)
    assert recalld.json(*changed, *HELPER)["outcome"] == "unchanged"


def _refused(recalld: Any) -> None:
    for refused, says in (
        (("memory", "add", "x", "--metadata", "{"), "the metadata is not JSON"),
        (("memory", "add", "x", "--metadata", "[]"), "not a JSON object"),
        (("memory", "add", "x", "--agent", ""), "a name of an agent"),
        (("memory", "add", "x", "--importance", "2"), "importance"),
        (("memory", "add", "--mistyped"), "mistyped"),
        (("memory", "add", "x", "--id", "door"), "door"),
        (("memory", "update", "door", *GUARD), "nothing"),
        (("memory", "update", "door", "--content", "x", *HELPER), "belongs to another agent"),
        (("memory", "delete", "never"), "no such memory"),
        (("memory", "search", "x", "--limit", "0"), "limit"),
        (("memory", "reinforce", "door", "--factor", "-1"), "factor"),
        (("memory", "share", "never", "helper"), "no such memory"),
        (("relations", "add", "door", "never", "--type", "opens"), "no such memory"),
        (("relations", "remove", "99"), "no such relationship"),
        (("groups", "show", "99"), "no such group"),
        (("groups", "add", "99", "door"), "no such group"),
        (("locks", "release", "door", "--fence", "7"), "lock"),
    ):
        code, out, err = recalld(*refused)
        assert (code, out) == (program.REFUSED, ""), (refused, code, out, err)
        assert says in err, (refused, err)
        assert "Traceback" not in err


def _deleted(recalld: Any) -> None:
    told = recalld.json("memory", "delete", "door", "--no-cascade", *GUARD)
    assert told["deleted_ids"] == ["door"]
    (left,) = recalld.json("memory", "get", "key", *GUARD)["memories"]
    assert left["parent_id"] is None
    assert recalld.json("undelete", str(told["deletion_id"]))["restored_ids"] == ["door"]


def test_without_a_daemon(recalld: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each opens the store by itself."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("-From\nelsewhere."))
    recalld.json("memory", "add", "-", "--id", "read", *GUARD)
    assert "-From\nelsewhere." in recalld.said("memory", "get", "read", *GUARD)
    story(recalld)


async def test_through_a_daemon(recalld: Any, running: Any) -> None:
    async with running():
        await asyncio.to_thread(story, recalld)
