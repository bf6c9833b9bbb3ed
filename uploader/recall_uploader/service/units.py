"""The service files of an instance, for systemd's user manager and for launchd."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from recall_wire.service.unit_text import HARDENING, command_line, marked_plist, marked_unit, word

WATCH_SERVICE = "recall-watch.service"
UPLOAD_SERVICE = "recall-upload.service"
UPLOAD_TIMER = "recall-upload.timer"
WATCH_LABEL = "recalld.recall-watch"
UPLOAD_LABEL = "recalld.recall-upload"
_UPLOAD_INTERVAL_S = 3600
_BY = "recall"

_HARDENING = f"""\
{HARDENING}\
SystemCallErrorNumber=EPERM
Nice=10
IOSchedulingClass=idle
"""


@dataclass(frozen=True, slots=True)
class Start:
    """How `recall` is started. Paths are absolute; those below `home`, where it is given, are
    written so that they are right for every user (systemd only)."""

    program: Path
    config: Path | None = None
    state_dir: Path | None = None
    home: Path | None = None

    def words(self, command: str) -> list[str]:
        """The command line; the state folder goes through the environment."""
        return [str(self.program), command] + (
            ["--config", str(self.config)] if self.config else []
        )

    @property
    def environment(self) -> dict[str, str]:
        return {"RECALL_STATE_DIR": str(self.state_dir)} if self.state_dir else {}


def systemd_units(start: Start) -> dict[str, str]:
    """File name to text."""
    return {
        WATCH_SERVICE: marked_unit(_watch_service(start), by=_BY),
        UPLOAD_SERVICE: marked_unit(_upload_service(start), by=_BY),
        UPLOAD_TIMER: marked_unit(_UPLOAD_TIMER, by=_BY),
    }


def launch_agents(start: Start, logs: Path | None = None) -> dict[str, str]:
    """File name to text; what they print goes into a file each below `logs`."""
    watch = {"KeepAlive": True, "ThrottleInterval": 30}
    upload = {"StartInterval": _UPLOAD_INTERVAL_S}
    return {
        f"{WATCH_LABEL}.plist": _agent(start, WATCH_LABEL, "watch", watch, logs),
        f"{UPLOAD_LABEL}.plist": _agent(start, UPLOAD_LABEL, "upload", upload, logs),
    }


def _watch_service(start: Start) -> str:
    return f"""\
[Unit]
Description=recall watch: send this machine's agent memories when they change

[Service]
Type=exec
{_started(start, "watch")}Restart=on-failure
RestartSec=30
# Refused: nothing helps before somebody changes something.
RestartPreventExitStatus=2
TimeoutStopSec=30
{_HARDENING}
[Install]
WantedBy=default.target
"""


def _upload_service(start: Start) -> str:
    return f"""\
[Unit]
Description=recall upload: send what is new, and what waits

[Service]
Type=oneshot
{_started(start, "upload")}# Queued, and pushed to the hub instead.
SuccessExitStatus=3 4
{_HARDENING}"""


_UPLOAD_TIMER = f"""\
[Unit]
Description=recall upload, every hour

[Timer]
OnCalendar=hourly
RandomizedDelaySec=10min
Persistent=true
Unit={UPLOAD_SERVICE}

[Install]
WantedBy=timers.target
"""


def _started(start: Start, command: str) -> str:
    lines = [
        f"ExecStart={command_line(start.words(command), start.home)}",
        "EnvironmentFile=-%E/recall/environment",
    ]
    for name, value in start.environment.items():
        lines.append(f"Environment={word(f'{name}={value}', start.home, prefix=f'{name}=')}")
    return "".join(f"{line}\n" for line in lines)


def _agent(
    start: Start, label: str, command: str, when: Mapping[str, object], logs: Path | None
) -> str:
    said = {"StandardErrorPath": str(logs / f"recall-{command}.log")} if logs else {}
    agent = {
        "Label": label,
        "ProgramArguments": start.words(command),
        "EnvironmentVariables": start.environment,
        "RunAtLoad": True,
        "ProcessType": "Background",
        "LowPriorityIO": True,
        "Umask": 0o077,
        **when,
        **said,
    }
    return marked_plist(agent, by=_BY)
