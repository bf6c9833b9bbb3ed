"""The service files of the hub, for systemd (a user's manager or the system's) and launchd."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from recall_wire.service.unit_text import (
    HARDENING,
    command_line,
    marked_plist,
    marked_unit,
    whole_line,
    word,
)

SERVICE = "recalld.service"
LABEL = "recalld"
STATE_DIR = Path("/var/lib/recalld")
_BY = "recalld"
# Requests in flight are answered and the process ends within 10 seconds.
_STOP_S = 15
_RELOAD_SINCE = 253  # systemd's version
_FILES = 65_536

_UNPRIVILEGED = f"""\
{HARDENING}\
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM
"""

# Not MemoryDenyWriteExecute: ONNX Runtime makes its machine code as it runs and fails without
# ("could not create a primitive"). Not ProcSubset=pid: it reads /proc/cpuinfo. A GPU needs
# PrivateDevices=no.
_PRIVILEGED = """\
ProtectSystem=strict
PrivateTmp=yes
PrivateDevices=yes
PrivateMounts=yes
PrivateUsers=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RemoveIPC=yes
CapabilityBoundingSet=
AmbientCapabilities=
KeyringMode=private
"""


@dataclass(frozen=True, slots=True)
class Start:
    """How `recalld` is started. Paths are absolute.

    `data_dir` None: that of the settings file, or the default. `writes`: other folders than
    `STATE_DIR` that it must write, as a bucket that is one. `environment`: the file with secrets.
    `user` runs a service of the system; None: it is one of `home`'s own user.
    """

    program: Path
    environment: Path
    config: Path | None = None
    data_dir: Path | None = None
    writes: tuple[Path, ...] = ()
    user: str | None = None
    home: Path | None = None

    @property
    def words(self) -> list[str]:
        return [str(self.program), "run"] + (["--config", str(self.config)] if self.config else [])

    @property
    def variables(self) -> dict[str, str]:
        return {"RECALLD_DATA_DIR": str(self.data_dir)} if self.data_dir else {}


def systemd_unit(start: Start, *, version: int) -> str:
    """For a systemd of that version: 253 knows services that say when they have reloaded."""
    return marked_unit("".join(f"{line}\n" for line in _lines(start, version)), by=_BY)


def _lines(start: Start, version: int) -> Iterator[str]:
    yield "[Unit]"
    yield "Description=recalld, the hub of many agents' memories"
    if start.user:
        yield from ("Wants=network-online.target", "After=network-online.target")
    yield from ("# One that fails at every start is left alone.", "StartLimitIntervalSec=10min")
    yield from ("StartLimitBurst=10", "", "[Service]")
    yield from _kind(version)
    yield from _started(start)
    # It asks for more where its index has to be made anew.
    yield from ("TimeoutStartSec=5min", f"TimeoutStopSec={_STOP_S}", "WatchdogSec=5min")
    yield from ("Restart=on-failure", "RestartSec=5")
    yield from ("# Refused: nothing helps before somebody changes something.",)
    yield from ("RestartPreventExitStatus=2", f"LimitNOFILE={_FILES}")
    yield from _UNPRIVILEGED.splitlines()
    if start.user:
        yield from _system(start)
    wanted_by = "multi-user.target" if start.user else "default.target"
    yield from ("", "[Install]", f"WantedBy={wanted_by}")


def _kind(version: int) -> Iterator[str]:
    if version >= _RELOAD_SINCE:
        yield "Type=notify-reload"
    else:
        yield from ("Type=notify", "ExecReload=/bin/kill -HUP $MAINPID")
    yield "NotifyAccess=main"


def _started(start: Start) -> Iterator[str]:
    yield f"ExecStart={command_line(start.words, start.home)}"
    # A dash: no error where the file is not there.
    yield f"EnvironmentFile=-{whole_line(start.environment, start.home)}"
    for name, value in start.variables.items():
        yield f"Environment={word(f'{name}={value}', start.home, prefix=f'{name}=')}"


def _system(start: Start) -> Iterator[str]:
    yield f"User={start.user}"
    if start.data_dir == STATE_DIR:
        yield from (f"StateDirectory={STATE_DIR.name}", "StateDirectoryMode=0700")
    yield from _PRIVILEGED.splitlines()
    paths = [start.program, *([start.config] if start.config else []), *start.writes]
    yield f"ProtectHome={'read-only' if any(map(_in_a_home, paths)) else 'yes'}"
    for path in start.writes:
        # A dash: where it is not there, the hub says so better than systemd would.
        yield f"ReadWritePaths={word(f'-{path}', prefix='-')}"


def _in_a_home(path: Path) -> bool:
    return path.parts[1:2] in (("home",), ("root",)) or path.parts[1:3] == ("run", "user")


def launchd_plist(start: Start, logs: Path | None = None) -> str:
    """A property list; what the hub prints goes into a file below `logs`.

    launchd reads no file of variables: a shell does, and becomes the hub.
    """
    said = str(logs / "recalld.log") if logs else None
    content = {
        "Label": LABEL,
        "ProgramArguments": ["/bin/sh", "-c", _SOURCE, str(start.environment), *start.words],
        "EnvironmentVariables": start.variables,
        "RunAtLoad": True,
        # After a failure; one that was told to stop stays so.
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 10,
        "ExitTimeOut": _STOP_S,
        "Umask": 0o077,
        "SoftResourceLimits": {"NumberOfFiles": _FILES},
        **({"UserName": start.user} if start.user else {}),
        **({"StandardOutPath": said, "StandardErrorPath": said} if said else {}),
    }
    return marked_plist(content, by=_BY)


_SOURCE = 'set -a; [ -r "$0" ] && . "$0"; set +a; exec "$@"'
