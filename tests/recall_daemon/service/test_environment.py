"""The file with a service's variables, as systemd and a shell read it."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from recall_daemon.service import environment
from recall_wire.errors import SettingsInvalid


def test_it_is_for_its_owner_alone_and_keeps_what_others_wrote(tmp_path: Path) -> None:
    file = tmp_path / "recalld" / "environment"
    hostile = """a"b$c`d\\e 'f' #g"""
    assert environment.write(file, {"RECALLD_A": "old", "RECALLD_B": hostile})
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_text(f"# mine\nAWS_PROFILE=x\n{file.read_text()}")
    file.chmod(0o644)
    assert environment.write(file, {"RECALLD_A": "new"})
    assert file.read_text().startswith("# mine\nAWS_PROFILE=x\nRECALLD_B=")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not environment.write(file, {"RECALLD_A": "new"})
    shell = ["/bin/sh", "-c", '. "$0"; printf %s "$RECALLD_A|$RECALLD_B"', str(file)]
    read = subprocess.run(shell, capture_output=True, check=True).stdout.decode()
    assert read == f"new|{hostile}"


def test_a_value_of_several_lines_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="RECALLD_A has a character"):
        environment.write(tmp_path / "environment", {"RECALLD_A": "a\nRECALLD_B=c"})
    assert not (tmp_path / "environment").exists()


def test_only_settings_of_this_shell_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECALLD_S3_REGION", "auto")
    monkeypatch.setenv("RECALLD_CONFIG", "/c.yaml")
    monkeypatch.setenv("RECALLD_DATA_DIR", "/d")
    monkeypatch.setenv("RECALL_HUB_TOKEN", "no")
    found = environment.of_this_shell()
    assert found["RECALLD_S3_REGION"] == "auto"
    assert not {"RECALLD_CONFIG", "RECALLD_DATA_DIR", "RECALL_HUB_TOKEN"} & set(found)
