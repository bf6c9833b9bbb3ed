"""What the hub's service files say, for any path, and what systemd and launchd say of them."""

from __future__ import annotations

import configparser
import os
import plistlib
import re
import shutil
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from recall_daemon.service.units import STATE_DIR, Start, launchd_plist, systemd_unit
from recall_daemon.settings import CONFIG_ENV, ENV_PREFIX, HubSettings
from recall_wire.errors import SettingsInvalid
from recall_wire.service.unit_text import is_unedited

ROOT = Path(__file__).parents[3]
HOME = Path("/home/me")
SYSTEM = Start(
    Path("/opt/recalld/.venv/bin/recalld"),
    Path("/etc/recalld/environment"),
    Path("/etc/recalld/recalld.yaml"),
    STATE_DIR,
    user="recalld",
)
USER = Start(HOME / ".local/bin/recalld", HOME / ".config/recalld/environment", home=HOME)
DAEMON = Start(
    Path("/usr/local/bin/recalld"),
    Path("/etc/recalld/environment"),
    Path("/etc/recalld/recalld.yaml"),
    Path("/usr/local/var/recalld"),
    user="_recalld",
)
# What systemd 252 gives the unit of the system is 1.4; with none of the lines it is 9.2.
EXPOSURE_MAX = 2.0


def service(start: Start, version: int = 252) -> dict[str, list[str]]:
    """Each setting of the service with its values, in their order."""
    unit = systemd_unit(start, version=version).partition("[Service]")[2].partition("[Install]")[0]
    found: dict[str, list[str]] = {}
    for line in unit.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def test_the_shipped_files_are_those_of_the_usual_paths() -> None:
    assert (ROOT / "systemd/recalld.service").read_text() == systemd_unit(SYSTEM, version=252)
    assert (ROOT / "launchd/recalld.plist").read_text() == launchd_plist(
        DAEMON, Path("/Library/Logs")
    )


@pytest.mark.parametrize("start", [SYSTEM, USER])
def test_a_unit_is_one_that_systemd_can_read(start: Start) -> None:
    text = systemd_unit(start, version=252)
    unit = configparser.RawConfigParser(strict=False, delimiters=("=",))
    unit.read_string(text)
    assert unit.sections() == ["Unit", "Service", "Install"]
    assert is_unedited(text)
    assert not is_unedited(text.replace("=yes", "=no", 1))


def test_it_stops_within_its_time_and_a_refusal_is_no_loop() -> None:
    said = service(SYSTEM)
    assert int(said["TimeoutStopSec"][0]) > 10
    assert (said["Restart"], said["RestartPreventExitStatus"]) == (["on-failure"], ["2"])
    assert (said["Type"], said["NotifyAccess"], said["WatchdogSec"]) == (
        ["notify"],
        ["main"],
        ["5min"],
    )
    assert said["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    newer = service(SYSTEM, version=253)
    assert newer["Type"] == ["notify-reload"]
    assert "ExecReload" not in newer


def test_a_users_unit_asks_for_nothing_that_needs_privileges() -> None:
    """ProtectSystem and its like need user namespaces, a capability set needs privileges."""
    said = service(USER)
    assert not [name for name in said if re.match("Protect|Private|Capab|User|ReadWrite", name)]
    assert "WantedBy=default.target" in systemd_unit(USER, version=252)
    assert said["ExecStart"] == ["%h/.local/bin/recalld run"]
    assert said["EnvironmentFile"] == ["-%h/.config/recalld/environment"]


def test_a_bucket_that_is_a_folder_may_be_written() -> None:
    here = Start(Path("/r"), Path("/e"), data_dir=STATE_DIR, user="u", writes=(Path("/a b/%c"),))
    said = service(here)
    assert said["ReadWritePaths"] == ['"-/a b/%%c"']
    assert said["ProtectHome"] == ["yes"]
    assert said["StateDirectory"] == ["recalld"]
    elsewhere = Start(Path("/r"), Path("/e"), user="u", writes=(Path("/home/x/hub"),))
    said = service(elsewhere)
    assert said["ReadWritePaths"] == ["-/home/x/hub"]
    assert said["ProtectHome"] == ["read-only"]
    assert "StateDirectory" not in said
    assert service(Start(Path("/root/bin/r"), Path("/e"), user="u"))["ProtectHome"] == ["read-only"]


def test_any_path_is_read_as_it_is() -> None:
    hostile = Path("/x y/%h $HOME ${A} \"q\" 's' b\\ack;#é")
    said = service(Start(Path("/a b/recalld"), hostile, hostile, home=HOME))
    assert said["EnvironmentFile"] == [f"-{str(hostile).replace('%', '%%')}"]
    escaped = str(hostile).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    assert said["ExecStart"] == [f'"/a b/recalld" run --config "{escaped.replace("$", "$$")}"']
    with pytest.raises(SettingsInvalid, match="cannot stand in a unit"):
        systemd_unit(Start(Path("/r"), Path("/e\nUser=root")), version=252)


def test_the_shipped_unit_names_settings_that_exist() -> None:
    text = (ROOT / "systemd/recalld.service").read_text()
    known = {ENV_PREFIX + name.upper() for name in HubSettings.model_fields} | {CONFIG_ENV}
    names = set(re.findall(r"\b(RECALLD_[A-Z0-9_]+)=", text))
    assert names
    assert names <= known
    assert SYSTEM.program.name in {point.name for point in entry_points(group="console_scripts")}


def test_a_plist_says_what_launchd_wants(tmp_path: Path) -> None:
    agent = plistlib.loads(launchd_plist(DAEMON).encode())
    assert (agent["Label"], agent["RunAtLoad"], agent["UserName"]) == ("recalld", True, "_recalld")
    assert agent["KeepAlive"] == {"SuccessfulExit": False}
    assert agent["ExitTimeOut"] > 10
    assert agent["EnvironmentVariables"] == {"RECALLD_DATA_DIR": "/usr/local/var/recalld"}
    assert "UserName" not in plistlib.loads(launchd_plist(USER).encode())
    # It starts what it says, with the variables of the file, also where there is none.
    seen = tmp_path / "a b"
    program = tmp_path / "recalld"
    program.write_text(f'#!/bin/sh\necho "$X|$*" > "{seen}"\n')
    program.chmod(0o755)
    for variables, said in (('X="a \\$b"\n', "a $b"), (None, "")):
        file = tmp_path / "variables of it"
        file.unlink(missing_ok=True)
        if variables is not None:
            file.write_text(variables)
        start = Start(program, file, Path("/c d"))
        command = plistlib.loads(launchd_plist(start).encode())["ProgramArguments"]
        subprocess.run(command, env={"PATH": os.environ["PATH"]}, check=True)
        assert seen.read_text() == f"{said}|run --config /c d\n"


def test_macos_finds_nothing_wrong(tmp_path: Path) -> None:
    """`plutil` is there on macOS alone; elsewhere Python's own reader has the say."""
    for path in (ROOT / "launchd").glob("*.plist"):
        assert plistlib.loads(path.read_bytes())["Label"] == path.stem
        if plutil := shutil.which("plutil"):
            subprocess.run([plutil, "-lint", str(path)], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("start", [SYSTEM, USER], ids=["system", "user"])
def test_systemd_finds_nothing_wrong(start: Start, tmp_path: Path) -> None:
    """Where it is there; what the unit says is tested above in any case."""
    program = Path(sys.executable).with_name("recalld")
    unit = tmp_path / "recalld.service"
    said = systemd_unit(start, version=252).replace("%h/.local/bin/recalld", str(program))
    unit.write_text(said.replace("/opt/recalld/.venv/bin/recalld", str(program)))
    who = "--user" if start is USER else "--system"
    if analyze := shutil.which("systemd-analyze"):
        checked = _run(tmp_path, analyze, "verify", "--man=no", who, str(unit))
        assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    else:
        assert os.access(program, os.X_OK)


def test_little_is_left_to_an_attacker(tmp_path: Path) -> None:
    said = service(SYSTEM)
    assert said["SystemCallFilter"] == ["@system-service", "~@privileged"]
    assert said["CapabilityBoundingSet"] == [""]
    assert said["ProtectSystem"] == ["strict"]
    if analyze := shutil.which("systemd-analyze"):
        unit = ROOT / "systemd/recalld.service"
        judged = _run(tmp_path, analyze, "security", "--offline=true", str(unit)).stdout
        found = re.search(r"Overall exposure level for recalld\.service: ([0-9.]+)", judged)
        assert found is not None, judged
        assert float(found[1]) <= EXPOSURE_MAX


def _run(tmp_path: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"XDG_RUNTIME_DIR": str(tmp_path), "SYSTEMD_COLORS": "0"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
