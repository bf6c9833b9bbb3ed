"""The note a session's end leaves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from recall_uploader.hook.request import delete, delete_parts, read_request, waiting, write_request


@pytest.mark.parametrize("config", ["", "/a b/\udcff\n.yaml"])
@pytest.mark.parametrize("said", [b"", b"\0\0{}\xff\n"])
def test_it_is_read_as_it_was_written(tmp_path: Path, config: str, said: bytes) -> None:
    path = write_request(str(tmp_path), config, said)
    assert waiting(str(tmp_path)) == [path]
    assert read_request(path) == (config, said)
    delete(path)
    delete(path)
    assert waiting(str(tmp_path)) == []


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    path = Path(write_request(str(tmp_path), "", b""))
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_what_is_no_note_of_ours_is_none(tmp_path: Path) -> None:
    real = write_request(str(tmp_path), "", b"")
    folder = tmp_path / "requests"
    (folder / "link.request").symlink_to(real)
    (folder / "folder.request").mkdir()
    os.mkfifo(folder / "pipe.request")
    (folder / "other.txt").touch()
    assert waiting(str(tmp_path)) == [real]
    assert waiting(str(tmp_path / "absent")) == []


def test_another_users_note_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_request(str(tmp_path), "/theirs.yaml", b"")
    monkeypatch.setattr("os.geteuid", lambda: os.getuid() + 1)
    assert waiting(str(tmp_path)) == []


def test_a_note_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.rename", full)
    with pytest.raises(OSError, match="No space"):
        write_request(str(tmp_path), "", b"")
    assert list((tmp_path / "requests").iterdir()) == []


def test_half_a_note_goes_when_nobody_can_be_writing_it(tmp_path: Path) -> None:
    path = write_request(str(tmp_path), "", b"")
    part = tmp_path / "requests" / "1-1.part"
    part.touch()
    delete_parts(str(tmp_path), part.stat().st_mtime + 59)
    assert part.exists()
    delete_parts(str(tmp_path), part.stat().st_mtime + 61)
    assert waiting(str(tmp_path)) == [path]
    assert not part.exists()
