"""Which `recall` hooks and services are told to start."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from recall_uploader.program import program_path
from recall_wire.errors import SettingsInvalid
from recall_wire.service.program import absolute


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_one_that_runs_by_its_name_and_not_by_what_it_links_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = executable(tmp_path / "venvs/1/bin/recall")
    link = tmp_path / "bin" / "recall"
    link.parent.mkdir()
    link.symlink_to(real)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["bin/recall"])
    assert program_path() == link


def test_else_the_one_beside_the_interpreter_or_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["/some/pytest"])
    assert program_path() == Path(sys.executable).with_name("recall")
    monkeypatch.setattr("sys.executable", str(tmp_path / "python3"))
    found = executable(tmp_path / "path" / "recall")
    monkeypatch.setenv("PATH", str(found.parent))
    assert program_path() == found
    found.chmod(0o644)
    with pytest.raises(SettingsInvalid, match="not installed"):
        program_path()


def test_a_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    assert absolute(None) is None
    assert absolute(Path("a/../b")) == tmp_path / "b"
    assert absolute(Path("~/b")) == Path("/home/me/b")
