"""Folders of notes: every note once, whatever it holds, and none deleted because of a bad one."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recall_uploader.sources import frozen, markdown
from recall_wire.errors import SourceBusy, SourceInvalid
from recall_wire.records import Record, to_batch

from .conftest import Read

Open = Callable[..., Any]
MODIFIED = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    folder = tmp_path / "vault"
    folder.mkdir()
    return folder


def write(vault: Path, name: str, data: bytes | str = "text") -> Path:
    path = vault / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    os.utime(path, (MODIFIED.timestamp(), MODIFIED.timestamp()))
    return path


def test_a_note_with_front_matter(vault: Path, read: Read) -> None:
    text = (
        "---\nTitle: T\ntags: ['#a', b]\ncreated: 2026-01-31\nproject: shop\nstars: 3\n---\n# Hi\n"
    )
    write(vault, "work/Plan ü.md", text)
    assert read(vault) == [
        Record(
            memory_id="work/Plan ü.md",
            text="# Hi\n",
            created_at=datetime(2026, 1, 31, tzinfo=UTC),
            updated_at=MODIFIED,
            project="shop",
            tags=("a", "b"),
            metadata='{"Title":"T","stars":3}',
        )
    ]


@pytest.mark.parametrize(
    ("name", "matter", "created"),
    [
        ("2026-02-03 standup.md", "", datetime(2026, 2, 3, tzinfo=UTC)),
        ("20260203.md", "", datetime(2026, 2, 3, tzinfo=UTC)),
        ("2026-13-45.md", "", MODIFIED),
        ("202602031530.md", "", MODIFIED),
        ("a.md", "date: 20260203", datetime(2026, 2, 3, tzinfo=UTC)),
        ("a.md", "date: 2026-02-03T10:00:00+02:00", datetime(2026, 2, 3, 8, tzinfo=UTC)),
        ("a.md", "date: 2026", MODIFIED),
        ("a.md", "created: soon\ndate: 2026-02-03", datetime(2026, 2, 3, tzinfo=UTC)),
    ],
)
def test_when_a_note_was_made(
    vault: Path, read: Read, name: str, matter: str, created: datetime
) -> None:
    write(vault, name, f"---\n{matter}\n---\nx" if matter else "x")
    assert read(vault)[0].created_at == created


def test_what_is_no_time_stays_metadata(vault: Path, read: Read) -> None:
    write(vault, "a.md", "---\ncreated: soon\nupdated: 2026-02-03\n---\n")
    [record] = read(vault)
    assert (record.metadata, record.text) == ('{"created":"soon"}', None)
    assert record.updated_at == datetime(2026, 2, 3, tzinfo=UTC)


def test_what_is_left_out(tmp_path: Path, vault: Path, opening: Open) -> None:
    for name in ("a.md", "b.MARKDOWN", "c.txt", ".hidden.md", ".obsidian/x.md", ".git/y.md"):
        write(vault, name)
    write(vault, "node_modules/pkg/readme.md")
    outside = write(tmp_path, "outside/private.md")
    (vault / "linked").symlink_to(outside.parent)
    (vault / "link.md").symlink_to(outside)
    os.mkfifo(vault / "pipe.md")
    with opening(vault) as opened:
        assert [r.memory_id for r in opened.records.records()] == ["a.md", "b.MARKDOWN"]
        assert opened.records.warnings == ["2 links were not followed"]
        assert (opened.partial, opened.keeps_deletes, opened.copy) == (False, False, None)


def test_encodings(vault: Path, opening: Open) -> None:
    write(vault, "1.md", b"\xef\xbb\xbf---\r\ntitle: T\r\n---\r\nbom\r\n")
    write(vault, "2.md", "---\ntitle: ü\n---\nsixteen".encode("utf-16"))
    write(vault, "3.md", b"\xff\xfea\x00\x00")
    write(vault, "4.md", b"caf\xe9")
    write(vault, "5.md", b"---\nbroken: [\n---\nbody")
    write(vault, "6.md", b"")
    with opening(vault) as opened:
        records = list(opened.records.records())
        warnings = opened.records.warnings
    texts = ["bom\r\n", "sixteen", "a\ufffd", "caf\ufffd", "---\nbroken: [\n---\nbody", None]
    assert [r.text for r in records] == texts
    assert [json.loads(r.metadata).get("title") for r in records[:2]] == ["T", "ü"]
    assert warnings == [
        "1 row had text that is not valid UTF-16, repaired (first: 3.md)",
        "1 row had text that is not valid UTF-8, repaired (first: 4.md)",
        "1 row had front matter that is no YAML, kept as text (first: 5.md)",
    ]


def test_hostile_names(vault: Path, read: Read) -> None:
    folder = os.fsencode(vault)
    names = [b"'; DROP.md", b"new\nline.md", b"\xff\xfe.md", b"x" * 200 + b".md"]
    deep = b"/".join([b"d" * 200] * 3)
    os.makedirs(folder + b"/" + deep)
    for name in [*names, deep + b"/deep.md"]:
        with open(folder + b"/" + name, "wb") as file:
            file.write(b"x")
    records = read(vault)
    to_batch(records).validate(full=True)
    assert len({r.memory_id for r in records}) == 5
    assert sum(r.memory_id.startswith("sha256:") for r in records) == 2


def test_a_note_that_is_too_large_is_not_taken_for_deleted(
    vault: Path, opening: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(markdown, "TEXT_MAX_BYTES", 10)
    write(vault, "large.md", "x" * 11)
    write(vault, "small.md", "x" * 10)
    with opening(vault) as opened:
        assert [r.memory_id for r in opened.records.records()] == ["small.md"]
        assert (opened.partial, opened.records.skipped) == (True, 1)


@pytest.mark.parametrize("what", ["note.md", "folder"])
def test_what_cannot_be_read_is_not_taken_for_deleted(
    vault: Path, opening: Open, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """The tests may run as root, whom no mode keeps out: the system calls refuse instead."""
    write(vault, "note.md")
    write(vault, "other.md")
    write(vault, "folder/inner.md")
    real_open, real_scan = os.open, os.scandir

    def refused(path: Any, *rest: Any) -> Any:
        if os.path.basename(path) == what:
            raise PermissionError(13, "Permission denied")
        return real_open(path, *rest) if rest else real_scan(path)

    monkeypatch.setattr(frozen.os, "open", refused)
    monkeypatch.setattr(frozen.os, "scandir", refused)
    with opening(vault, type="markdown") as opened:
        found = {r.memory_id for r in opened.records.records()}
        assert opened.partial
        assert "could not be read" in opened.records.warnings[0]
    assert found == {"other.md"} | ({"note.md"} if what == "folder" else {"folder/inner.md"})


@pytest.mark.parametrize("how", ["grows", "vanishes", "is touched"])
def test_a_note_that_changes_between_the_passes(vault: Path, opening: Open, how: str) -> None:
    path = write(vault, "a.md")
    with opening(vault) as opened:
        assert list(opened.records.records())
        if how == "vanishes":
            path.unlink()
        elif how == "grows":
            write(vault, "a.md", "longer text")
        else:
            os.utime(path)
        with pytest.raises(SourceBusy, match=r"a\.md"):
            list(opened.records.records())


def test_a_note_that_changes_while_it_is_read(
    vault: Path, opening: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(vault, "a.md")

    class Overtaken(io.BufferedReader):
        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            path.write_bytes(b"another text")
            return data

    monkeypatch.setattr(frozen.os, "fdopen", lambda number, mode: Overtaken(io.FileIO(number)))
    with opening(vault, type="markdown") as opened, pytest.raises(SourceBusy, match=r"a\.md"):
        next(opened.records.records())


def test_a_folder_that_is_gone(vault: Path, read: Read) -> None:
    vault.rmdir()
    with pytest.raises(SourceInvalid, match="there is no"):
        read(vault, type="markdown")


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    data=st.binary(max_size=80) | st.text(max_size=80).map(lambda t: f"---\n{t}\n---\n".encode())
)
def test_any_note_becomes_a_record_that_can_travel(vault: Path, read: Read, data: bytes) -> None:
    write(vault, "any.md", data)
    records = read(vault)
    assert len(records) == 1
    to_batch(records).validate(full=True)
    assert isinstance(json.loads(records[0].metadata), dict)
