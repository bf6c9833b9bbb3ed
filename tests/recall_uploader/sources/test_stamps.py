"""Which transcripts are read again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recall_uploader.sources import stamps

from .conftest import user, write_lines

Open = Callable[..., Any]


def changed(opening: Open, projects: Path, known: object) -> tuple[list[str], Any]:
    with opening(projects, stamps=known) as opened:
        return [r.memory_id for r in opened.records.records()], opened


def test_nothing_changed_nothing_read(projects: Path, opening: Open) -> None:
    write_lines(projects / "p/a.jsonl", user("u1", "one"))
    ids, opened = changed(opening, projects, {})
    assert (ids, opened.partial) == (["u1"], False)
    ids, again = changed(opening, projects, opened.stamps)
    assert (ids, again.partial, again.bytes) == ([], True, 0)
    assert again.stamps == opened.stamps


def test_only_the_changed_one_is_read_whole(projects: Path, opening: Open) -> None:
    write_lines(projects / "p/a.jsonl", user("u1", "one"))
    path = write_lines(projects / "p/b.jsonl", user("u2", "two"))
    _, opened = changed(opening, projects, {})
    write_lines(path, user("u2", "two"), user("u3", "three", "u2"))
    ids, again = changed(opening, projects, opened.stamps)
    assert ids == ["u2", "u3"]
    assert again.partial
    assert len(again.stamps) == 2


@pytest.mark.parametrize("what", ["size", "time", "inode"])
def test_each_part_of_a_stamp_counts(projects: Path, opening: Open, what: str) -> None:
    path = write_lines(projects / "p/a.jsonl", user("u1", "one"))
    _, opened = changed(opening, projects, {})
    seen = path.stat()
    if what == "size":
        path.write_bytes(path.read_bytes() + b"\n")
    elif what == "inode":
        copy = path.with_suffix(".new")
        copy.write_bytes(path.read_bytes())
        copy.replace(path)
    moved = seen.st_mtime_ns + (what == "time")
    os.utime(path, ns=(moved, moved))
    assert changed(opening, projects, opened.stamps)[0] == ["u1"]


def test_a_copy_does_not_change_what_its_original_said(projects: Path, opening: Open) -> None:
    original = {**user("u1", "one"), "sessionId": "a"}
    write_lines(projects / "p/a.jsonl", original)
    _, opened = changed(opening, projects, {})
    copy = {**original, "sessionId": "b"}
    write_lines(projects / "p/b.jsonl", copy, {**user("u2", "two", "u1"), "sessionId": "b"})
    with opening(projects, stamps=opened.stamps) as again:
        found = [(r.memory_id, r.session_id) for r in again.records.records()]
    assert found == [("u1", "a"), ("u2", "b")]


def test_a_file_that_is_gone_is_forgotten(projects: Path, opening: Open) -> None:
    path = write_lines(projects / "p/a.jsonl", user("u1", "one"))
    _, opened = changed(opening, projects, {})
    path.unlink()
    assert changed(opening, projects, opened.stamps)[1].stamps == {}


def test_foreign_stamps_are_no_stamps(projects: Path, opening: Open) -> None:
    write_lines(projects / "p/a.jsonl", user("u1", "one"))
    _, opened = changed(opening, projects, {})
    for wrong in ("", ":", "x", "1:2:3:4:5"):
        assert changed(opening, projects, dict.fromkeys(opened.stamps, wrong))[0] == ["u1"]


def test_a_newer_reader_reads_all_once_more(
    projects: Path, opening: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_lines(projects / "p/a.jsonl", user("u1", "one"))
    _, opened = changed(opening, projects, {})
    monkeypatch.setattr(stamps, "_READER", stamps._READER + 1)
    assert changed(opening, projects, opened.stamps)[0] == ["u1"]
