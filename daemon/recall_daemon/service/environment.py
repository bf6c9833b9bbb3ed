"""The file with the variables of a service: what must not stand in its unit, as secrets.

Systemd reads it, and a shell does (launchd has no such thing): values are in double quotes, where
both take a backslash before `\\`, `"`, `$` and a backtick for what follows it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from recall_daemon.settings import CONFIG_ENV, ENV_PREFIX
from recall_wire.errors import SettingsInvalid

DATA_DIR = f"{ENV_PREFIX}DATA_DIR"
# These stand in the unit, or concern tests.
_NOT_KEPT = frozenset({CONFIG_ENV, DATA_DIR, "RECALLD_TEST_SOAK"})
_NAME = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*=")


def of_this_shell() -> dict[str, str]:
    """The settings in the environment, which a service does not inherit."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith(ENV_PREFIX) and value and name not in _NOT_KEPT
    }


def merged(text: str, variables: Mapping[str, str]) -> str:
    """A file's text with these variables; every other line stays. Raises `SettingsInvalid`."""
    kept = [line for line in text.splitlines() if _name(line) not in variables]
    lines = [*kept, *(f"{name}={_quoted(name, value)}" for name, value in variables.items())]
    return "".join(f"{line}\n" for line in lines)


def write(path: Path, variables: Mapping[str, str]) -> bool:
    """Have the file hold these variables, for its owner's eyes alone; False where it did."""
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    new = merged(old, variables)
    if new == old:
        return False
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f".{path.name}.part")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(new)
        os.fchmod(file.fileno(), 0o600)
        os.fsync(file.fileno())
    part.replace(path)
    return True


def _name(line: str) -> str | None:
    found = _NAME.match(line)
    return found[1] if found else None


def _quoted(name: str, value: str) -> str:
    if not value.isprintable():
        raise SettingsInvalid(
            f"{name} has a character that cannot stand in a file of variables",
            hint="write it into the settings file",
        )
    return '"' + re.sub(r'([\\"$`])', r"\\\1", value) + '"'
