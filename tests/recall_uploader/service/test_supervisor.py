"""What systemd and launchd are asked, and what a person is told where they do not answer."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from recall_uploader.commands import service as command_line
from recall_uploader.service import supervisor as ours
from recall_uploader.service.units import Start, launch_agents, systemd_units
from recall_wire.errors import SettingsInvalid
from recall_wire.service import supervisor
from recall_wire.service.supervisor import Done, Launchd, Systemd, run_command

START = Start(Path("/opt/recall"))
UNITS = systemd_units(START)
AGENTS = launch_agents(START, Path("/logs"))
ENABLED = "recall-watch.service recall-upload.timer"


@dataclass
class Recorded:
    """Answers as told to, by the start of the command; else well."""

    answers: dict[str, Done] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def __call__(self, command: Sequence[str]) -> Done:
        line = shlex.join(command)
        self.calls.append(line)
        return next((a for start, a in self.answers.items() if line.startswith(start)), Done(0))

    def taken(self) -> list[str]:
        calls, self.calls = self.calls, []
        return calls


@pytest.fixture
def run() -> Recorded:
    return Recorded()


@pytest.fixture
def systemd(tmp_path: Path, run: Recorded, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return ours.systemd(run, tmp_path)


@pytest.fixture
def launchd(tmp_path: Path, run: Recorded, monkeypatch: pytest.MonkeyPatch) -> Launchd:
    monkeypatch.setattr("os.getuid", lambda: 501)
    return ours.launchd(run, tmp_path)


def test_systemd_in_and_out_again(systemd: Systemd, run: Recorded) -> None:
    outcome = systemd.install(UNITS, force=False)
    assert outcome.changed == systemd.files
    assert outcome.untold is None
    assert run.taken() == [
        "systemctl --user daemon-reload",
        f"systemctl --user enable --now {ENABLED}",
        f"systemctl --user try-restart {ENABLED}",
    ]
    assert systemd.install(UNITS, force=False).changed == ()
    assert run.taken() == [
        "systemctl --user daemon-reload",
        f"systemctl --user enable --now {ENABLED}",
    ]
    assert systemd.uninstall().changed == systemd.files
    assert run.taken() == [
        f"systemctl --user disable --now {ENABLED}",
        "systemctl --user daemon-reload",
    ]
    assert list(systemd.folder.path.iterdir()) == []
    assert systemd.uninstall().changed == ()
    assert run.taken() == []


def test_where_systemd_does_not_answer_the_files_are_there(systemd: Systemd, run: Recorded) -> None:
    run.answers["systemctl --user enable"] = Done(1, "Failed to connect\nto bus")
    outcome = systemd.install(UNITS, force=False)
    assert outcome.untold is not None
    assert outcome.untold.reason == "systemctl: Failed to connect to bus"
    assert outcome.untold.to_run.startswith(f"systemctl --user enable --now {ENABLED} && ")
    assert len(list(systemd.folder.path.iterdir())) == 3


def test_a_unit_changed_by_hand_stays_and_goes_on_running(systemd: Systemd, run: Recorded) -> None:
    systemd.install(UNITS, force=False)
    watch = systemd.folder.path / "recall-watch.service"
    watch.write_text(watch.read_text().replace("Nice=10", "Nice=0"))
    run.taken()
    with pytest.raises(SettingsInvalid, match="--force"):
        systemd.install(systemd_units(Start(Path("/new/recall"))), force=False)
    assert run.taken() == []
    outcome = systemd.uninstall()
    assert outcome.left == ("recall-watch.service",)
    assert run.taken()[0] == "systemctl --user disable --now recall-upload.timer"
    assert [path.name for path in systemd.folder.path.iterdir()] == ["recall-watch.service"]


def test_what_systemd_knows(systemd: Systemd, run: Recorded) -> None:
    systemd.install(UNITS, force=False)
    run.answers["systemctl --user show"] = Done(
        0, "UnitFileState=enabled\nActiveState=active\nExecMainExitTimestamp=\n"
    )
    watch, *_ = systemd.status()
    assert (watch.name, watch.file) == ("recall-watch.service", "installed")
    assert watch.said == {"UnitFileState": "enabled", "ActiveState": "active"}
    run.answers["systemctl --user show"] = Done(127, "No such file or directory")
    assert [status.said for status in systemd.status()] == [{}, {}, {}]


def test_launchd_in_and_out_again(launchd: Launchd, run: Recorded) -> None:
    run.answers["launchctl print"] = Done(113, "Could not find service")
    assert launchd.install(AGENTS, force=False).untold is None
    folder = launchd.folder.path
    assert [call for call in run.taken() if "print" not in call] == [
        "launchctl bootout gui/501/recalld.recall-watch",
        "launchctl bootout gui/501/recalld.recall-upload",
        shlex.join(
            ["launchctl", "bootstrap", "gui/501", str(folder / "recalld.recall-watch.plist")]
        ),
        shlex.join(
            ["launchctl", "bootstrap", "gui/501", str(folder / "recalld.recall-upload.plist")]
        ),
    ]
    run.answers["launchctl print"] = Done(0, "x = {\n\tstate = running\n\tlast exit code = 0\n}")
    assert launchd.install(AGENTS, force=False).changed == ()
    assert [call for call in run.taken() if "print" not in call] == []
    assert launchd.status()[0].said == {"state": "running", "last exit code": "0"}
    assert len(launchd.uninstall().changed) == 2
    assert "launchctl bootout gui/501/recalld.recall-upload" in run.taken()
    assert list(folder.iterdir()) == []


def test_where_launchd_refuses_a_person_is_told(launchd: Launchd, run: Recorded) -> None:
    run.answers = {
        "launchctl print": Done(113),
        "launchctl bootstrap": Done(5, "Bootstrap failed: 5: Input/output error"),
    }
    outcome = launchd.install(AGENTS, force=False)
    assert outcome.untold is not None
    assert outcome.untold.to_run.count("launchctl bootstrap gui/501") == 2


def test_a_command_that_is_not_there_or_fails() -> None:
    assert run_command(["/no/such/systemctl"]).code == 127
    assert run_command([sys.executable, "-c", "print('said'); raise SystemExit(4)"]) == Done(
        4, "said"
    )


def test_a_command_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_TIMEOUT_S", 0.2)
    assert run_command(["sleep", "60"]).code == 124


@pytest.mark.parametrize(
    ("platform", "folder"),
    [("linux", ".config/systemd/user"), ("darwin", "Library/LaunchAgents")],
)
def test_the_commands(
    platform: str,
    folder: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With neither service manager there."""
    program = tmp_path / "recall"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr("sys.argv", [str(program)])
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setattr(sys, "platform", platform)

    assert command_line.install(config=Path("~/c.yaml"), state_dir=tmp_path / "s t") == 3
    out, err = capsys.readouterr()
    assert out.startswith("written: ")
    assert "No such file or directory" in err
    assert "; run: " in err
    text = "".join(path.read_text() for path in (tmp_path / folder).iterdir())
    home = "%h" if platform == "linux" else str(tmp_path)
    assert f"{home}/c.yaml" in text
    assert f"{home}/s t" in text

    assert command_line.status(json_=True) == 0
    assert {row["file"] for row in json.loads(capsys.readouterr().out)} == {"installed"}
    assert command_line.status() == 0
    assert "the service manager does not say" in capsys.readouterr().out
    command_line.uninstall()
    assert capsys.readouterr().out.startswith("removed: ")
    assert list((tmp_path / folder).iterdir()) == []
    assert command_line.uninstall() == 0
