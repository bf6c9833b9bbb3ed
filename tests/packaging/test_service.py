"""The systemd unit names commands and settings that exist."""

from __future__ import annotations

import configparser
import re
from importlib.metadata import entry_points
from pathlib import Path

from recall_daemon.settings import CONFIG_ENV, ENV_PREFIX, HubSettings

UNIT = Path(__file__).parents[2] / "systemd" / "recalld.service"


def test_the_unit_starts_an_installed_command_with_known_settings() -> None:
    text = UNIT.read_text()
    unit = configparser.RawConfigParser(strict=False, delimiters=("=",))
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(text)

    command = Path(unit["Service"]["ExecStart"].split()[0]).name
    assert command in {point.name for point in entry_points(group="console_scripts")}
    assert unit["Service"]["ExecStart"].split()[1:] == ["run"]
    names = re.findall(r"\b(RECALLD_[A-Z0-9_]+)=", text)
    known = {ENV_PREFIX + name.upper() for name in HubSettings.model_fields} | {CONFIG_ENV}
    assert names
    assert set(names) <= known
