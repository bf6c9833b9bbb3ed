"""Where the hub's service lies on this system, how it is started, and who is told."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from recall_daemon.service import environment
from recall_daemon.service.environment import DATA_DIR
from recall_daemon.service.units import (
    LABEL,
    SERVICE,
    STATE_DIR,
    Start,
    launchd_plist,
    systemd_unit,
)
from recall_daemon.settings import HubSettings, default_data_dir, settings_file
from recall_wire.buckets.location import FolderLocation, parse_url
from recall_wire.errors import SettingsInvalid
from recall_wire.service.program import absolute, program_path
from recall_wire.service.supervisor import (
    Launchd,
    Outcome,
    Run,
    Status,
    Supervisor,
    Systemd,
    run_command,
    user_units,
)
from recall_wire.service.unit_file import UnitFolder

_SYSTEM_CONFIG = Path("/etc/recalld")
_LINGER = Path("/var/lib/systemd/linger")
_VERSION = re.compile(r"systemd (\d+)")


@dataclass(frozen=True)
class Place:
    """A service of the system, or of the user who asks, for systemd or launchd."""

    supervisor: Supervisor
    folder: Path
    environment: Path
    is_system: bool
    systemd_version: int | None

    @property
    def file(self) -> Path:
        return self.folder / (f"{LABEL}.plist" if self.systemd_version is None else SERVICE)

    def text(self, start: Start) -> str:
        """What the service file says."""
        if self.systemd_version is not None:
            return systemd_unit(start, version=self.systemd_version)
        logs = Path("/Library/Logs") if self.is_system else Path.home() / "Library/Logs"
        return launchd_plist(start, logs)

    def install(self, start: Start, *, force: bool) -> Outcome:
        """Write variables and service file, enable and start it. Raises `SettingsInvalid`."""
        text = self.text(start)
        environment.write(self.environment, environment.of_this_shell())
        return self.supervisor.install({self.file.name: text}, force=force)

    def uninstall(self) -> Outcome:
        return self.supervisor.uninstall()

    def status(self) -> Status:
        return self.supervisor.status()[0]

    def ends_with_the_session(self) -> bool:
        """Whether a user's manager stops it when that user logs out."""
        if self.is_system or self.systemd_version is None:
            return False
        return not (_LINGER / pwd.getpwuid(os.getuid()).pw_name).exists()


def place(*, is_system: bool, run: Run = run_command) -> Place:
    """Raises `SettingsInvalid` where this system has neither systemd nor launchd."""
    if sys.platform == "darwin":
        return _launchd(is_system, run)
    if shutil.which("systemctl") is None:
        raise SettingsInvalid(
            "there is no systemd on this machine",
            hint=f"have your own supervisor start `{program_path('recalld')} run`: SIGTERM stops "
            "it within 10 seconds, SIGHUP reads the settings again",
        )
    return _systemd(is_system, run)


def start_of(settings: HubSettings, config: Path | None, place: Place, user: str) -> Start:
    """How the service is started with the settings of this shell.

    Raises `SettingsInvalid` where `user`, whose service of the system it is to be, is unknown.
    """
    if place.is_system:
        _check_user(user)
    # A folder that the settings file names is read there at each start.
    is_named = settings.data_dir != default_data_dir()
    written = settings.data_dir if os.environ.get(DATA_DIR) else None
    return Start(
        program_path("recalld"),
        place.environment,
        absolute(settings_file(config)),
        data_dir=STATE_DIR if place.is_system and not is_named else written,
        writes=(*([settings.data_dir] if is_named else []), *_folders(settings)),
        user=user if place.is_system else None,
        home=None if place.is_system or place.systemd_version is None else Path.home(),
    )


def _folders(settings: HubSettings) -> list[Path]:
    urls = [url for url in (settings.bucket_url, settings.cold_bucket_url) if url]
    found = [parse_url(url) for url in urls]
    return [location.root for location in found if isinstance(location, FolderLocation)]


def _check_user(name: str) -> None:
    try:
        pwd.getpwnam(name)
    except KeyError:
        raise SettingsInvalid(
            f"there is no user {name!r}",
            hint=f"make one: useradd --system --home-dir {STATE_DIR} --shell /usr/sbin/nologin "
            f"{name}; or name another with --as",
        ) from None


def _systemd(is_system: bool, run: Run) -> Place:
    found = _VERSION.match(run(["systemctl", "--version"]).out)
    folder = UnitFolder(Path("/etc/systemd/system")) if is_system else user_units(Path.home())
    options = () if is_system else ("--user",)
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "recalld"
    return Place(
        Systemd(folder, run, (SERVICE,), (SERVICE,), options),
        folder.path,
        (_SYSTEM_CONFIG if is_system else home) / "environment",
        is_system,
        int(found[1]) if found else 0,
    )


def _launchd(is_system: bool, run: Run) -> Place:
    home = Path.home()
    folder = Path("/Library/LaunchDaemons") if is_system else home / "Library/LaunchAgents"
    domain = "system" if is_system else f"gui/{os.getuid()}"
    config = _SYSTEM_CONFIG if is_system else home / ".config/recalld"
    return Place(
        Launchd(UnitFolder(folder), run, domain, (LABEL,)),
        folder,
        config / "environment",
        is_system,
        None,
    )
