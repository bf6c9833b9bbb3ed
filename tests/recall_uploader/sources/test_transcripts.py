"""Claude Code's transcripts: what becomes a record, in which order, and what never stops it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recall_uploader.sources import transcript_file
from recall_wire.errors import SourceBusy
from recall_wire.records import Record, to_batch

from .conftest import SESSION, Read, assistant, said, user, write_lines

Open = Callable[..., Any]
PROJECT = "-home-dev-shop"


def test_a_session_as_it_is_written(projects: Path, read: Read) -> None:
    tool = {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "ls"}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "secret listing"}
    write_lines(
        projects / PROJECT / f"{SESSION}.jsonl",
        {"type": "summary", "summary": "Shop", "leafUuid": "a2"},
        {"type": "file-history-snapshot", "messageId": "u1", "snapshot": {}},
        user("u1", "Why is the cart empty?"),
        {**user("x1", None, "u1"), "type": "attachment", "attachment": {"type": "hook"}},
        assistant("a1", {"type": "thinking", "thinking": "hm", "signature": "s"}, "x1"),
        assistant("a2", said("Let me look."), "a1"),
        assistant("a3", tool, "a2"),
        user("u2", [result], "a3", toolUseResult={"stdout": "secret listing"}),
        assistant("a4", said("The session cookie expires."), "u2"),
        {**user("s1", None, "a4"), "type": "system", "subtype": "turn_duration"},
    )
    records = read(projects)
    assert records[0] == Record(
        memory_id="u1",
        kind="conversation",
        text="Why is the cart empty?",
        created_at=datetime(2026, 2, 18, 9, tzinfo=UTC),
        project="/home/dev/shop",
        session_id=SESSION,
        metadata='{"git_branch":"main","role":"user","version":"2.1.37"}',
    )
    assert [(r.memory_id, r.text, r.parent_id) for r in records[1:]] == [
        ("a2", "Let me look.", "u1"),
        ("a4", "The session cookie expires.", "a2"),
    ]
    assert json.loads(records[1].metadata) == {
        "role": "assistant",
        "model": "claude-opus-4-6",
        "message_id": "msg_01",
        "git_branch": "main",
        "version": "2.1.37",
    }


def test_nothing_that_nobody_wrote(projects: Path, read: Read) -> None:
    write_lines(
        projects / PROJECT / f"{SESSION}.jsonl",
        user("u1", "<local-command-stdout>ok</local-command-stdout>"),
        user("u2", "Caveat", isMeta=True),
        user("u3", "This session is being continued …", isCompactSummary=True),
        user("u4", "[Request interrupted by user for tool use]"),
        user("u5", [{"type": "image", "source": {"data": "aGk="}}]),
        assistant("a1", said("API Error: 529"), "u5", isApiErrorMessage=True),
        assistant("a2", said("(no content)"), "a1"),
        user("u6", [said("<ide_opened_file>x.py</ide_opened_file>"), said("Fix it")], "a2"),
    )
    assert [(r.memory_id, r.text, r.parent_id) for r in read(projects)] == [("u6", "Fix it", None)]


def test_a_chain_goes_on_behind_a_compaction(projects: Path, read: Read) -> None:
    boundary = {"type": "system", "subtype": "compact_boundary", "logicalParentUuid": "u1"}
    write_lines(
        projects / PROJECT / f"{SESSION}.jsonl",
        user("u1", "before"),
        {**user("b1", None), **boundary},
        user("c1", "a summary", "b1", isCompactSummary=True),
        user("u2", "after", "c1"),
    )
    assert [(r.memory_id, r.parent_id) for r in read(projects)] == [("u1", None), ("u2", "u1")]


def test_sub_agents_are_named(projects: Path, read: Read) -> None:
    folder = projects / PROJECT
    write_lines(
        folder / SESSION / "subagents/agent-a78b.jsonl",
        user("s1", "Search the code", isSidechain=True, agentId="a78b"),
    )
    old = user("s2", "An older one", isSidechain=True)
    write_lines(folder / "agent-9c.jsonl", old)
    found = {r.memory_id: r for r in read(projects)}
    assert (found["s1"].agent_id, found["s2"].agent_id) == ("a78b", "9c")
    assert found["s1"].session_id == SESSION
    assert json.loads(found["s1"].metadata)["sidechain"] is True


def test_a_resumed_session_brings_each_turn_once(projects: Path, read: Read) -> None:
    first, resumed = "1" * 8, "0" * 8
    turns = [user("u1", "one"), assistant("a1", said("two"), "u1")]
    write_lines(projects / PROJECT / f"{first}.jsonl", *({**t, "sessionId": first} for t in turns))
    copies = [{**turn, "sessionId": resumed, "version": "2.2.0"} for turn in turns]
    later = {**user("u2", "three", "a1"), "sessionId": resumed}
    write_lines(projects / PROJECT / f"{resumed}.jsonl", *copies, later)
    assert [(r.memory_id, r.session_id, r.parent_id) for r in read(projects)] == [
        ("u1", first, None),
        ("a1", first, "u1"),
        ("u2", resumed, "a1"),
    ]


def test_a_branch_that_holds_every_entry_twice(projects: Path, read: Read) -> None:
    entries = [user("u1", "one"), user("x1", [], "u1"), user("u2", "two", "x1")]
    again = [{**entry, "parentUuid": None} for entry in entries[:2]]
    write_lines(projects / PROJECT / "b.jsonl", *entries[:2], *again, entries[2])
    assert [(r.memory_id, r.parent_id) for r in read(projects)] == [("u1", None), ("u2", "u1")]


def test_a_branchs_copies_name_their_first_session(projects: Path, read: Read) -> None:
    origin = {"sessionId": "first", "messageUuid": "u1"}
    write_lines(projects / PROJECT / "b.jsonl", user("u1", "one", forkedFrom=origin))
    assert read(projects)[0].session_id == "first"


def test_a_half_written_last_line_is_read_when_it_is_whole(
    projects: Path, read: Read, opening: Open
) -> None:
    path = projects / PROJECT / f"{SESSION}.jsonl"
    line = json.dumps(user("u2", "two", "u1")).encode()
    for cut in (1, len(line) // 2, len(line) - 1):
        write_lines(path, user("u1", "one"), line[:cut], end=b"")
        with opening(projects) as opened:
            assert [r.memory_id for r in opened.records.records()] == ["u1"]
            assert opened.records.warnings == []
    write_lines(path, user("u1", "one"), line, end=b"")
    assert [r.memory_id for r in read(projects)] == ["u1", "u2"]


def test_garbage_never_refuses_the_rest(
    projects: Path, opening: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcript_file, "LINE_MAX_BYTES", 2_000)
    write_lines(
        projects / PROJECT / f"{SESSION}.jsonl",
        b"\xef\xbb\xbf" + json.dumps(user("u1", "one")).encode(),
        b'{"type": "user", "uuid": "torn',
        b"[1, 2]",
        b"\0" * 50 + json.dumps(user("u2", "after a power cut")).encode(),
        b"",
        b'{"x":' + b"[" * 1_500,
        json.dumps(user("u3", "x" * 3_000)).encode(),
        {"type": "hologram", "uuid": "h"},
        user("", "nobody"),
        json.dumps(user("u4", "caf?")).encode().replace(b"caf?", b"caf\xe9"),
        b'{"type":"user","uuid":"u5","message":{"content":"a \\ud800 b"},"cwd":7}',
    )
    with opening(projects) as opened:
        records = list(opened.records.records())
        assert [r.memory_id for r in records] == ["u1", "u2", "u4", "u5"]
        assert [r.text for r in records[2:]] == ["caf\ufffd", "a \ufffd b"]
        to_batch(records).validate(full=True)
        assert opened.records.skipped == 5
        said_all = "\n".join(opened.records.warnings)
    for expected in ("3 rows were no transcript entry", "(first: hologram)", "had no uuid"):
        assert expected in said_all


def test_what_grows_between_the_passes_is_read_next_time(projects: Path, opening: Open) -> None:
    path = write_lines(projects / PROJECT / f"{SESSION}.jsonl", user("u1", "one"))
    with opening(projects) as opened:
        first = list(opened.records.records())
        with path.open("ab") as file:
            file.write(json.dumps(user("u2", "two", "u1")).encode() + b"\n")
        write_lines(projects / PROJECT / "new.jsonl", user("u3", "three"))
        assert list(opened.records.records()) == first
        stamps = opened.stamps
    with opening(projects, stamps=stamps) as opened:
        assert {r.memory_id for r in opened.records.records()} == {"u1", "u2", "u3"}


@pytest.mark.parametrize("how", ["shrinks", "vanishes", "is replaced", "is rewritten"])
def test_what_is_not_there_any_more_is_said(projects: Path, opening: Open, how: str) -> None:
    path = write_lines(projects / PROJECT / f"{SESSION}.jsonl", user("u1", "one"))
    with opening(projects) as opened:
        assert list(opened.records.records())
        if how == "shrinks":
            path.write_bytes(path.read_bytes()[:-10])
        elif how == "vanishes":
            path.unlink()
        elif how == "is replaced":
            write_lines(path.with_name("other"), user("u1", "one"), user("u2", "two"))
            path.with_name("other").replace(path)
        else:
            with path.open("r+b") as file:
                file.write(json.dumps(user("u1", "ONE")).encode())
        with pytest.raises(SourceBusy, match="while the source was read"):
            list(opened.records.records())


def test_links_are_not_followed(tmp_path: Path, projects: Path, opening: Open) -> None:
    outside = write_lines(tmp_path / "outside/private.jsonl", user("u9", "private"))
    write_lines(projects / PROJECT / "a.jsonl", user("u1", "one"))
    (projects / "linked").symlink_to(outside.parent)
    (projects / PROJECT / "link.jsonl").symlink_to(outside)
    (projects / PROJECT / "loop").symlink_to(projects)
    os.mkfifo(projects / PROJECT / "pipe.jsonl")
    with opening(projects) as opened:
        assert [r.memory_id for r in opened.records.records()] == ["u1"]
        assert opened.records.warnings == ["3 links were not followed"]


def test_a_hostile_file_name(projects: Path, read: Read) -> None:
    folder = os.fsencode(projects) + b"/\xff\n<b>"
    os.mkdir(folder)
    with open(folder + b"/\xfe'; DROP.jsonl", "wb") as file:
        file.write(json.dumps({**user("u1", "one"), "sessionId": None}).encode() + b"\n")
    [record] = read(projects)
    assert record.text == "one"
    to_batch([record]).validate(full=True)


def test_one_transcript_by_its_own_path(projects: Path, opening: Open) -> None:
    path = write_lines(projects / PROJECT / "a.jsonl", user("u1", "one"))
    write_lines(projects / PROJECT / "b.jsonl", user("u2", "two"))
    with opening(path) as opened:
        assert [r.memory_id for r in opened.records.records()] == ["u1"]
        assert (opened.records.type, opened.keeps_deletes) == ("claude-code", True)


_ENTRY = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["user", "assistant", "system", "?"]) | st.integers(),
        "uuid": st.sampled_from(["a", "b", "c", ""]) | st.none(),
        "parentUuid": st.sampled_from(["a", "b", "c", "z"]) | st.none(),
        "message": st.none()
        | st.text()
        | st.fixed_dictionaries(
            {"content": st.text() | st.lists(st.none() | st.just(said("t")) | st.text())}
        ),
        "timestamp": st.text() | st.integers() | st.just("2026-01-01T00:00:00Z"),
        "sessionId": st.text() | st.integers(),
        "cwd": st.text() | st.lists(st.integers()),
        "agentId": st.text() | st.integers(),
        "isSidechain": st.booleans() | st.text(),
        "forkedFrom": st.text() | st.dictionaries(st.just("sessionId"), st.text()),
    },
)


@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    files=st.lists(
        st.lists(_ENTRY.map(lambda e: json.dumps(e).encode()) | st.binary(max_size=30)),
        max_size=3,
    )
)
def test_whatever_is_in_them_both_passes_are_equal(
    projects: Path, read: Read, files: list[list[bytes]]
) -> None:
    for old in projects.rglob("*.jsonl"):
        old.unlink()
    for number, lines in enumerate(files):
        write_lines(projects / PROJECT / f"{number}.jsonl", *lines)
    records = read(projects)
    to_batch(records).validate(full=True)
    assert len({record.memory_id for record in records}) == len(records)
