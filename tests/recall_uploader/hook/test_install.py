"""Our hook in a settings file on the disk, and out of it."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recall_uploader.commands import hook as command_line
from recall_uploader.hook.install import install, is_installed, uninstall
from recall_uploader.hook.settings_file import SettingsChanged, SettingsFile
from recall_wire.errors import SettingsInvalid

OURS = "/opt/recall hook session-end"
BEFORE = '{\n    "model": "opus",\n    "env": {"NAME": "Zoë"},\n    "n": 1.00\n}\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "claude").mkdir()
    path = tmp_path / "claude" / "settings.json"
    path.write_text(BEFORE, encoding="utf-8")
    path.chmod(0o640)
    return path


@pytest.fixture
def file(path: Path) -> SettingsFile:
    return SettingsFile(path, lambda: datetime(2026, 3, 1, 12, tzinfo=UTC))


def entries(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.parent.iterdir())


def test_in_and_out_again(file: SettingsFile, path: Path) -> None:
    assert install(file, OURS).changed
    assert is_installed(file)
    assert path.read_text(encoding="utf-8").startswith(BEFORE.rstrip("}\n"))
    assert path.stat().st_mode & 0o777 == 0o640
    backup = path.with_name("settings.json.recall-backup-20260301T120000Z")
    assert backup.read_text(encoding="utf-8") == BEFORE
    assert backup.stat().st_mode & 0o777 == 0o640

    assert uninstall(file).changed
    assert not is_installed(file)
    assert path.read_text(encoding="utf-8") == BEFORE


def test_twice_changes_nothing_and_backups_do_not_grow(file: SettingsFile, path: Path) -> None:
    install(file, OURS)
    there = path.stat()
    assert not install(file, OURS).changed
    assert path.stat() == there
    for _ in range(3):
        assert uninstall(file).changed
        assert not uninstall(file).changed
        assert install(file, OURS).changed
    # One of the file as it was, one with our hook.
    assert len(file.backups()) == 2
    assert len(entries(path)) == 3


def test_a_file_that_is_not_there_is_made_and_stays_the_users(tmp_path: Path) -> None:
    file = SettingsFile(tmp_path / "a b" / "c" / "settings.json")
    assert not uninstall(file).changed
    assert not is_installed(file)
    assert install(file, OURS).changed
    assert json.loads(file.path.read_text())["hooks"]
    assert file.backups() == []
    assert uninstall(file).changed
    assert file.path.read_text() == "{}\n"


def test_a_link_stays_a_link(file: SettingsFile, path: Path, tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    real = tmp_path / "dotfiles" / "claude.json"
    path.rename(real)
    path.symlink_to(os.path.relpath(real, path.parent))
    assert install(file, OURS).changed
    assert path.is_symlink()
    assert OURS in real.read_text()
    assert entries(real) == ["claude.json"]
    assert len(file.backups()) == 1


def test_a_link_to_nothing_is_filled(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.symlink_to("dotfiles/claude.json")
    assert install(SettingsFile(path), OURS).changed
    assert path.is_symlink()
    assert OURS in (tmp_path / "dotfiles" / "claude.json").read_text()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "line 1"),
        (b"{", "line 1"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b'{"a": "\xff"}', "not UTF-8 at byte 7"),
        (b"[]", "no object"),
        (b"{} // mine", "more after the end"),
        (b'{"a": 1, "a": 2}', "stands twice"),
        (b'{"hooks": "none"}', "hooks is no object"),
        ("{}".encode("utf-16"), "not UTF-8"),
    ],
)
def test_what_cannot_be_edited_is_left_as_it_is(
    data: bytes, says: str, file: SettingsFile, path: Path
) -> None:
    path.write_bytes(data)
    for change in (lambda: install(file, OURS), lambda: uninstall(file)):
        with pytest.raises(SettingsInvalid, match=says) as caught:
            change()
        assert str(path) in str(caught.value)
    assert path.read_bytes() == data
    assert entries(path) == ["settings.json"]


def test_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="is no file"):
        install(SettingsFile(tmp_path), OURS)


def test_what_somebody_writes_meanwhile_is_not_lost(file: SettingsFile, path: Path) -> None:
    read = file.read()
    path.write_text('{"new": 1}')
    with pytest.raises(SettingsChanged, match="run it again"):
        file.write(read, "{}")
    assert path.read_text() == '{"new": 1}'
    assert not [name for name in entries(path) if name.startswith(".")]


def test_a_disk_that_is_full_leaves_it_as_it_was(
    file: SettingsFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        install(file, OURS)
    assert path.read_text(encoding="utf-8") == BEFORE
    assert not [name for name in entries(path) if name.startswith(".")]


def test_a_path_that_json_cannot_hold(file: SettingsFile, path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="not UTF-8"):
        install(file, "/\udcff/recall hook session-end")
    assert path.read_text(encoding="utf-8") == BEFORE


def test_a_person_is_told_what_stands_in_the_way(file: SettingsFile, path: Path) -> None:
    path.write_text('{"disableAllHooks": true}')
    assert "disableAllHooks" in install(file, OURS).note
    hook = {"type": "command", "command": f"{OURS} && say bye"}
    path.write_text(json.dumps({"hooks": {"SessionEnd": [{"hooks": [hook]}]}}))
    outcome = install(file, OURS)
    assert (outcome.changed, "say bye" in outcome.note) == (False, True)
    outcome = uninstall(file)
    assert (outcome.changed, "say bye" in outcome.note) == (False, True)


def test_the_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "a b" / "recall"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr("sys.argv", [str(program)])
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path / "claude"))
    monkeypatch.chdir(tmp_path)

    assert command_line.install("claude-code", state_dir=Path("state"), config=Path("c.yaml")) == 0
    assert "the hook is installed" in capsys.readouterr().out
    (group,) = json.loads((tmp_path / "claude/settings.json").read_text())["hooks"]["SessionEnd"]
    assert group["hooks"][0]["command"] == (
        f"'{program}' hook session-end --state-dir {tmp_path}/state --config {tmp_path}/c.yaml"
    )
    assert command_line.install("claude-code", state_dir=Path("state"), config=Path("c.yaml")) == 0
    assert command_line.uninstall() == 0
    assert command_line.uninstall(settings=tmp_path / "claude/settings.json") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.rpartition(": ")[2] for line in lines] == [
        "nothing to do",
        "the hook is gone",
        "nothing to do",
    ]
