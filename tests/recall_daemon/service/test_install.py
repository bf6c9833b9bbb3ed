"""`recalld service`, without a service manager that answers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from recall_daemon.commands import service
from recall_daemon.service.install import place, start_of
from recall_daemon.settings import load_settings
from recall_wire.errors import SettingsInvalid
from recall_wire.service.supervisor import Done


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "bin" / "systemctl"
    tool.parent.mkdir()
    tool.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "systemd 257 (257)"\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:/bin:/usr/bin")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("RECALLD_S3_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("RECALLD_S3_SECRET_ACCESS_KEY", "very secret")


def test_in_and_out_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("http_port: 9000\n")
    unit = tmp_path / ".config/systemd/user/recalld.service"
    variables = tmp_path / ".config/recalld/environment"

    assert service.install(config=config, dry_run=True) == 0
    out = capsys.readouterr().out
    assert "RECALLD_S3_SECRET_ACCESS_KEY" in out
    assert "very secret" not in out
    assert not unit.exists()

    assert service.install(config=config) == 3
    out, err = capsys.readouterr()
    assert out == f"written: {unit}\n"
    assert "systemctl --user enable --now recalld.service" in err
    assert "Type=notify-reload" in unit.read_text()
    assert "--config %h/c.yaml" in unit.read_text()
    assert "secret" not in unit.read_text()
    assert "very secret" in variables.read_text()

    assert service.status(json_=True) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "installed"
    assert service.uninstall() == 3
    assert not unit.exists()
    assert variables.exists()
    assert service.uninstall() == 0
    assert capsys.readouterr().out.endswith("nothing to remove\n")


def test_without_systemd_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SettingsInvalid, match="SIGTERM stops it within 10 seconds"):
        place(is_system=False)


def test_a_service_of_the_system_needs_its_user(monkeypatch: pytest.MonkeyPatch) -> None:
    where = place(is_system=True, run=lambda _: Done(0, "systemd 252 (252.38)"))
    settings = load_settings()
    with pytest.raises(SettingsInvalid, match="useradd --system"):
        start_of(settings, None, where, "no-such-user")
    monkeypatch.setenv("RECALLD_BUCKET_URL", "file:///srv/bucket")
    start = start_of(load_settings(), None, where, "root")
    text = where.text(start)
    assert "StateDirectory=recalld" in text
    assert "ReadWritePaths=-/srv/bucket" in text
    assert "Type=notify\n" in text
    assert where.file == Path("/etc/systemd/system/recalld.service")


def test_launchd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    where = place(is_system=False, run=lambda _: Done(113))
    assert where.file == tmp_path / "Library/LaunchAgents/recalld.plist"
    assert not where.ends_with_the_session()
    where.install(start_of(load_settings(), None, where, ""), force=False)
    assert "<string>recalld</string>" in where.file.read_text()
    assert place(is_system=True).file == Path("/Library/LaunchDaemons/recalld.plist")
