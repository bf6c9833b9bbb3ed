"""The services of an instance, run by this system's own service manager."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from recall_uploader.service.units import (
    UPLOAD_LABEL,
    UPLOAD_SERVICE,
    UPLOAD_TIMER,
    WATCH_LABEL,
    WATCH_SERVICE,
    Start,
    launch_agents,
    systemd_units,
)
from recall_wire.service.supervisor import (
    Launchd,
    Run,
    Supervisor,
    Systemd,
    run_command,
    user_units,
)
from recall_wire.service.unit_file import UnitFolder


def supervisor(run: Run = run_command) -> Supervisor:
    """That of the user who asks."""
    return launchd(run, Path.home()) if sys.platform == "darwin" else systemd(run, Path.home())


def unit_files(start: Start) -> dict[str, str]:
    """File name to text, for this system."""
    if sys.platform == "darwin":
        return launch_agents(start, Path.home() / "Library/Logs")
    return systemd_units(start)


def systemd(run: Run, home: Path) -> Systemd:
    files = (WATCH_SERVICE, UPLOAD_SERVICE, UPLOAD_TIMER)
    return Systemd(user_units(home), run, files, enabled=(WATCH_SERVICE, UPLOAD_TIMER))


def launchd(run: Run, home: Path) -> Launchd:
    folder = UnitFolder(home / "Library/LaunchAgents")
    return Launchd(folder, run, f"gui/{os.getuid()}", (WATCH_LABEL, UPLOAD_LABEL))
