"""Where a program lies: what hooks and services are told to start."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from recall_wire.errors import SettingsInvalid


def program_path(name: str) -> Path:
    """The absolute path of the command, its links left as they are: they outlive an update.

    Raises `SettingsInvalid` where there is no such command.
    """
    for candidate in (sys.argv[0], os.path.join(os.path.dirname(sys.executable), name)):
        path = Path(os.path.abspath(candidate))
        if path.name == name and os.access(path, os.X_OK) and path.is_file():
            return path
    if found := shutil.which(name):
        return Path(os.path.abspath(found))
    raise SettingsInvalid(
        f"the command {name} is not installed where it could be started again",
        hint="install it, as with `pipx install recalld`",
    )


def absolute(path: Path | None) -> Path | None:
    """For a command line that is run in another folder."""
    return None if path is None else Path(os.path.abspath(path.expanduser()))
