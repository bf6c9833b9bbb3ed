"""`recalld agents`, `conflicts`, `shares`, `locks`, `versions`, `why` and `undelete`: the same with
and without a daemon."""

from __future__ import annotations

import asyncio
import io
import sys
from typing import Any

import pytest

from recall_daemon.access.caller import LOCAL
from recall_daemon.agents.actor import Actor
from recall_daemon.agents.editing import Terms
from recall_daemon.commands import program
from recall_daemon.core import open_core
from recall_daemon.settings import load_settings

GUARD = Actor(LOCAL, "guard")
SYSTEM = "agents"


@pytest.fixture
def filled(recalld: Any) -> dict[str, Any]:
    """Three memories of guard: one in conflict, one that is shared and locked, one deleted."""
    with open_core(load_settings()) as core:
        shared = core.shared(core.posts(lambda: None), lambda: None)
        for name in ("in conflict", "shared", "gone"):
            shared.memories.add(GUARD, {"content": f"It is {name}.", "memory_id": name})
        base = shared.review.versions(GUARD, "in conflict")["head"]
        terms = Terms(base_version=base)
        shared.editing.update(GUARD, "in conflict", {"content": "Our word."}, terms)
        terms = Terms(base_version=base, strategy="manual_review")
        met = shared.editing.update(GUARD, "in conflict", {"content": "Their word."}, terms)
        (share,) = shared.sharing.share_with_agents(GUARD, "shared", ["helper"])["share_ids"]
        asyncio.run(shared.locks.acquire(GUARD, "shared"))
        gone = shared.deleting.delete(GUARD, "gone")
    assert met["outcome"] == "conflict"
    return {"conflict": met["conflict_id"], "share": share, "deletion": gone["deletion_id"]}


def story(recalld: Any, filled: dict[str, Any]) -> None:
    """Each command, as JSON and for people."""
    conflict, deletion = filled["conflict"], str(filled["deletion"])
    _agents(recalld)
    (one,) = recalld.json("conflicts")["conflicts"]
    assert one == recalld.json("conflicts", "list", "--state", "all")["conflicts"][0]
    assert one["conflict_id"] == conflict
    assert conflict in recalld.said("conflicts")
    shown = recalld.json("conflicts", "show", conflict)
    assert {shown[side]["record"]["content"] for side in ("ours", "theirs")} == {
        "Our word.",
        "Their word.",
    }
    said = recalld.said("conflicts", "show", conflict)
    assert "-Our word." in said or "-Their word." in said
    _resolved(recalld, conflict, shown)

    (share,) = recalld.json("shares")["shares"]
    assert (share["share_id"], share["agent"]) == (filled["share"], "helper")
    assert recalld.json("shares", "--memory", f"{SYSTEM}/shared")["shares"] == [share]
    assert f"{SYSTEM}/shared" in recalld.said("shares")
    assert recalld.json("shares", "revoke", str(filled["share"]))["revoked"]
    assert recalld.said("shares") == "nothing is shared\n"

    _rules(recalld)

    (lock,) = recalld.json("locks")["locks"]
    assert (lock["memory_id"], lock["holder"]) == ("shared", "local/guard")
    assert "local/guard" in recalld.said("locks")
    said = recalld.said("locks", "force-release", "shared", "--reason", "it is stuck")
    assert "it is stuck" in said
    assert recalld.said("locks") == "nothing is locked\n"

    told = recalld.json("versions", f"{SYSTEM}/in conflict")
    contents = {one["content"] for one in told["versions"]}
    assert {"Our word.", "Their word.", "It is in conflict."} <= contents
    assert "served" in recalld.said("versions", "in conflict")

    assert recalld.json("why", "gone")["state"] == "deleted"
    assert f"recalld undelete {deletion}" in recalld.said("why", "gone")
    assert recalld.json("undelete", deletion)["restored_ids"] == ["gone"]
    assert recalld.json("why", f"{SYSTEM}/gone")["state"] == "live"
    assert "restored" in recalld.said("why", "gone")
    _refused(recalld, conflict)
    assert recalld.json("audit", "verify")["ok"]
    actions = {entry["action"] for entry in recalld.json("audit", "list")["entries"]}
    assert {"conflict.resolved", "conflict.undone", "share.revoked", "memory.restored"} <= actions


def _rules(recalld: Any) -> None:
    number = recalld.json("shares", "add-rule", "helper", "guard", "--tag", "doors")["rule_id"]
    (rule,) = recalld.json("shares", "rules")["rules"]
    assert (rule["rule_id"], rule["tag"], rule["category"]) == (number, "doors", None)
    assert rule["targets"] == ["helper", "guard"]
    assert "doors" in recalld.said("shares", "rules")
    assert recalld.json("shares", "revoke-rule", str(number))["revoked"]
    assert recalld.said("shares", "rules") == "no rule shares anything\n"


def _agents(recalld: Any) -> None:
    assert [one["name"] for one in recalld.json("agents")["agents"]] == ["guard", "helper"]
    assert "security" in recalld.said("agents")
    first = recalld.json("agents", "slice", "guard", "--limit", "1")
    assert len(first["memory_slice"]) == 1
    rest = recalld.json("agents", "slice", "guard", "--cursor", first["next_cursor"])
    states = [one["sync_metadata"] for one in (*first["memory_slice"], *rest["memory_slice"])]
    assert sum(state["is_locked"] for state in states) == 1
    assert sum(state["has_conflicts"] for state in states) == 1
    said = recalld.said("agents", "slice", "guard", "--limit", "1")
    assert "memories 2" in said
    assert f"--cursor {first['next_cursor']}" in said
    assert recalld.json("agents", "allocation", "guard")["memories"] == 2
    assert "text_bytes" in recalld.said("agents", "allocation", "guard")
    assert recalld.json("agents", "statistics")["open_conflicts"] == 1
    assert "held_locks" in recalld.said("agents", "statistics")


def _resolved(recalld: Any, conflict: str, shown: Any) -> None:
    """By each way there is, undone each time."""
    served = {}
    for way in (("--choose", "ours"), ("--choose", "theirs"), ("--content", "-Both.")):
        told = recalld.json("conflicts", "resolve", conflict, *way)
        assert (told["state"], told["open"]) == ("resolved", [])
        versions = recalld.json("versions", "in conflict")["versions"]
        served[way[1]] = next(one["content"] for one in versions if one["served"])
        told = recalld.json("conflicts", "undo", conflict)
        assert (told["state"], told["open"]) == ("open", [conflict])
    assert served == {
        "ours": shown["ours"]["record"]["content"],
        "theirs": shown["theirs"]["record"]["content"],
        "-Both.": "-Both.",
    }
    assert "resolved" in recalld.said("conflicts", "resolve", conflict, "--strategy", "latest_wins")
    assert recalld.said("conflicts") == "no conflict waits\n"


def _refused(recalld: Any, conflict: str) -> None:
    for refused, says in (
        (("conflicts", "show", "none"), "no such conflict"),
        (("conflicts", "resolve", conflict), "resolved in one way"),
        (("conflicts", "resolve", conflict, "--choose", "ours"), "this conflict is resolved"),
        (("conflicts", "--cursor", "x"), "the cursor"),
        (("agents", "slice", "guard", "--limit", "0"), "limit"),
        (("versions", "never"), "no such memory"),
        (("why", "never"), "no such memory"),
        (("undelete", "99"), "no such deletion"),
        (("shares", "revoke", "99"), "no such share"),
        (("shares", "revoke-rule", "99"), "no such rule"),
        (("shares", "add-rule", "helper"), "a category, a tag, or both"),
        (("locks", "force-release", "shared", "--reason", "x"), "nobody holds a lock"),
    ):
        code, out, err = recalld(*refused)
        assert (code, out) == (program.REFUSED, ""), refused
        assert says in err, refused
        assert "Traceback" not in err


def test_without_a_daemon(
    recalld: Any, filled: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each opens the store by itself."""
    conflict, deletion = filled["conflict"], str(filled["deletion"])
    assert recalld.json("agents")["agents"][0]["name"] == "guard"
    assert len(recalld.json("agents", "slice", "guard")["memory_slice"]) == 2
    assert recalld.json("agents", "allocation", "guard")["memories"] == 2
    assert recalld.json("agents", "statistics")["open_conflicts"] == 1
    assert recalld.json("conflicts")["conflicts"][0]["conflict_id"] == conflict
    assert recalld.json("conflicts", "show", conflict)["diff"]
    recalld.json("conflicts", "resolve", conflict, "--choose", "ours")
    recalld.json("conflicts", "undo", conflict)
    monkeypatch.setattr(sys, "stdin", io.StringIO("From\nelsewhere."))
    recalld.json("conflicts", "resolve", conflict, "--content", "-")
    assert "From elsewhere." in recalld.said("versions", "in conflict")
    assert len(recalld.json("shares", "--memory", "shared")["shares"]) == 1
    assert recalld.json("shares", "revoke", str(filled["share"]))["revoked"]
    _rules(recalld)
    assert len(recalld.json("locks")["locks"]) == 1
    recalld.json("locks", "force-release", "shared", "--reason", "it is stuck")
    assert recalld.json("why", "gone")["state"] == "deleted"
    assert recalld.json("undelete", deletion)["restored_ids"] == ["gone"]


async def test_through_a_daemon(recalld: Any, filled: dict[str, Any], running: Any) -> None:
    async with running():
        await asyncio.to_thread(story, recalld, filled)


def test_what_a_terminal_would_obey_is_left_out(recalld: Any) -> None:
    with open_core(load_settings()) as core:
        shared = core.shared(core.posts(lambda: None), lambda: None)
        content = "red \x1b[31m [bold]b[/]"
        shared.memories.add(GUARD, {"content": content, "memory_id": "m\x1b[2J"})
    for asked in (("agents", "slice", "guard"), ("versions", "m\x1b[2J")):
        said = recalld.said(*asked)
        assert "\x1b" not in said
        assert "[bold]b[/]" in said


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("UPDATE audit_log SET actor = 'somebody' WHERE entry_no = 2", "entry 2"),
        ("DELETE FROM audit_log WHERE entry_no = 2", "entry 2 of the audit log is missing"),
        ("DELETE FROM audit_log WHERE entry_no = (SELECT max(entry_no) FROM audit_log)", "missing"),
    ],
)
def test_audit_verify_finds_a_changed_or_missing_row(
    recalld: Any, filled: dict[str, Any], damage: str, says: str
) -> None:
    assert recalld.said("audit", "verify")
    with open_core(load_settings()) as core:
        core.store.write(lambda connection: connection.execute(damage).fetchall())
    code, out, _ = recalld("audit", "verify")
    assert code == 1
    assert says in out
