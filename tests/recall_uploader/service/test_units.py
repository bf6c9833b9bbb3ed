"""What the service files say, for any path."""

from __future__ import annotations

import configparser
import plistlib
import re
from pathlib import Path

import pytest

from recall_uploader.service.units import (
    Start,
    launch_agents,
    systemd_units,
)
from recall_wire.errors import SettingsInvalid
from recall_wire.service.unit_text import is_marked, is_unedited

ROOT = Path(__file__).parents[3]
HOME = Path("/home/me")
SYSTEMD = Start(HOME / ".local/bin/recall", home=HOME)
LAUNCHD = Start(Path("/usr/local/bin/recall"))
HOSTILE = Path("/x y/%h $HOME ${A} \"q\" 's' b\\ack;#é.yaml")


def read(text: str) -> configparser.RawConfigParser:
    unit = configparser.RawConfigParser(delimiters=("=",), comment_prefixes=("#",))
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(text)
    return unit


def words(line: str, *, command: bool) -> list[str]:
    """As systemd reads a line: quotes, backslashes, then specifiers, then variables."""
    found = re.findall(r'(?:"(?:\\.|[^"\\])*"|[^\s"])+', line)
    plain = [re.sub(r'\\(.)|"', lambda match: match[1] or "", word) for word in found]
    plain = [word.replace("%%", "\0").replace("%h", str(HOME)).replace("\0", "%") for word in plain]
    if not command:
        return plain
    variable = re.compile(r"\$(\$|\w+|\{\w+\})")
    return [plain[0], *(variable.sub(lambda m: "$" * (m[1] == "$"), word) for word in plain[1:])]


def test_the_shipped_files_are_those_of_the_usual_paths() -> None:
    shipped = {path.name: path.read_text() for path in (ROOT / "systemd").glob("recall-*")}
    assert shipped == systemd_units(SYSTEMD)
    shipped = {path.name: path.read_text() for path in (ROOT / "launchd").glob("recalld.recall-*")}
    assert shipped == launch_agents(LAUNCHD)


def test_a_unit_starts_the_command_of_the_service() -> None:
    units = {name: read(text) for name, text in systemd_units(SYSTEMD).items()}
    watch, upload = units["recall-watch.service"], units["recall-upload.service"]
    assert watch["Service"]["ExecStart"] == "%h/.local/bin/recall watch"
    assert watch["Service"]["Type"] == "exec"
    assert watch["Install"]["WantedBy"] == "default.target"
    assert upload["Service"]["ExecStart"] == "%h/.local/bin/recall upload"
    assert upload["Service"]["SuccessExitStatus"] == "3 4"
    timer = units["recall-upload.timer"]
    assert dict(timer["Timer"]) == {
        "OnCalendar": "hourly",
        "RandomizedDelaySec": "10min",
        "Persistent": "true",
        "Unit": "recall-upload.service",
    }


def test_no_unit_asks_for_what_a_users_manager_may_not_do() -> None:
    """ProtectSystem and its like need user namespaces, a capability set needs privileges."""
    for text in systemd_units(SYSTEMD).values():
        assert not re.search(r"^(Protect|Private|Capability|User=|ReadWrite)", text, re.MULTILINE)


@pytest.mark.parametrize("program", [HOME / "bin/recall", Path("/a b%c$d;é/bin/recall")])
@pytest.mark.parametrize("path", [HOSTILE, HOME / "x y.yaml", HOME, Path("/home/me2/x")])
def test_every_path_is_read_as_it_is(program: Path, path: Path) -> None:
    start = Start(program, path, path, HOME)
    service = read(systemd_units(start)["recall-watch.service"])["Service"]
    line = words(service["ExecStart"], command=True)
    assert line == [str(program), "watch", "--config", str(path)]
    assert words(service["Environment"], command=False) == [f"RECALL_STATE_DIR={path}"]


def test_a_home_is_written_for_every_user() -> None:
    start = Start(HOME / "a b/recall", HOME / "c%.yaml", HOME / "state", HOME)
    text = systemd_units(start)["recall-watch.service"]
    assert 'ExecStart="%h/a b/recall" watch --config %h/c%%.yaml\n' in text
    assert "Environment=RECALL_STATE_DIR=%h/state\n" in text


@pytest.mark.parametrize("path", ["/a\nExecStart=/bin/evil", "/a\tb", "/a\x1b", "/\udcff"])
def test_a_path_that_would_be_more_than_a_word_is_refused(path: str) -> None:
    with pytest.raises(SettingsInvalid, match="cannot stand in a unit"):
        systemd_units(Start(Path("/recall"), Path(path)))


@pytest.mark.parametrize("path", ['/a"b/recall', "/it's/recall", "/a\\b/recall"])
def test_a_program_that_systemd_would_not_start_is_refused(path: str) -> None:
    with pytest.raises(SettingsInvalid, match="in another folder"):
        systemd_units(Start(Path(path)))


def test_an_agent_says_what_launchd_wants() -> None:
    start = Start(Path("/a b/recall"), HOSTILE, Path("/s & t"))
    agents = launch_agents(start, Path("/logs"))
    watch = plistlib.loads(agents["recalld.recall-watch.plist"].encode())
    assert watch["Label"] == "recalld.recall-watch"
    assert watch["ProgramArguments"] == ["/a b/recall", "watch", "--config", str(HOSTILE)]
    assert watch["EnvironmentVariables"] == {"RECALL_STATE_DIR": "/s & t"}
    assert (watch["KeepAlive"], watch["RunAtLoad"], watch["Umask"]) == (True, True, 0o077)
    assert watch["StandardErrorPath"] == "/logs/recall-watch.log"
    upload = plistlib.loads(agents["recalld.recall-upload.plist"].encode())
    assert upload["ProgramArguments"][1] == "upload"
    assert upload["StartInterval"] == 3600
    assert "KeepAlive" not in upload


def test_a_path_that_no_plist_holds_is_refused() -> None:
    with pytest.raises(SettingsInvalid, match="plist"):
        launch_agents(Start(Path("/\udcff/recall")))
    with pytest.raises(SettingsInvalid, match="plist"):
        launch_agents(Start(Path("/\x01/recall")))


@pytest.mark.parametrize("texts", [systemd_units(SYSTEMD), launch_agents(LAUNCHD)])
def test_an_edit_is_seen(texts: dict[str, str]) -> None:
    for text in texts.values():
        assert is_marked(text)
        assert is_unedited(text)
        assert not is_unedited(text.replace("recall", "recoil", 1))
        assert not is_unedited(f"{text}# more\n")
        assert not is_unedited(text.rpartition("sha256")[0])
    assert not is_unedited("")
    assert not is_marked("[Unit]\nDescription=mine\n")
