"""systemd and launchd: install, remove and show a program's services."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from recall_wire.service.unit_file import UnitFolder, UnitState

_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended; 127 where it could not be started."""

    code: int
    out: str = ""


Run = Callable[[Sequence[str]], Done]


@dataclass(frozen=True, slots=True)
class Status:
    """`said`: what the service manager knows of it, empty where it does not answer."""

    name: str
    file: UnitState
    said: dict[str, str]


@dataclass(frozen=True, slots=True)
class Untold:
    """The service manager could not be told: why, and what a person must run."""

    reason: str
    to_run: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """Which files changed, and which stay since they are not ours any more."""

    changed: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    untold: Untold | None = None


class Supervisor(Protocol):
    def install(self, units: Mapping[str, str], *, force: bool) -> Outcome: ...

    def uninstall(self) -> Outcome: ...

    def status(self) -> list[Status]: ...


def run_command(command: Sequence[str]) -> Done:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Done(124, "it did not answer")
    except OSError as error:
        return Done(127, error.strerror or "it could not be started")
    return Done(done.returncode, done.stdout.decode(errors="replace").strip())


def user_units(home: Path) -> UnitFolder:
    """Where systemd's user manager looks for a person's own units."""
    config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    return UnitFolder(config / "systemd/user")


@dataclass(frozen=True, slots=True)
class Systemd:
    """The units `files`, of which `enabled` start by themselves. `options` of `systemctl`: the
    user's manager, or none for the system's. A unit that changed is started anew; one that runs
    already is not otherwise touched."""

    folder: UnitFolder
    run: Run
    files: tuple[str, ...]
    enabled: tuple[str, ...]
    options: tuple[str, ...] = ("--user",)

    def install(self, units: Mapping[str, str], *, force: bool) -> Outcome:
        changed = tuple(self.folder.write(units, force=force))
        commands = [
            self._systemctl("daemon-reload"),
            self._systemctl("enable", "--now", *self.enabled),
        ]
        if changed:
            commands.append(self._systemctl("try-restart", *self.enabled))
        return Outcome(changed, untold=_run_all(self.run, commands))

    def uninstall(self) -> Outcome:
        there = [name for name in self.files if self.folder.state(name) == "installed"]
        stopped = [name for name in there if name in self.enabled]
        stop = [self._systemctl("disable", "--now", *stopped)] if stopped else []
        first = _run_all(self.run, stop)
        left = tuple(name for name in self.files if not self.folder.remove(name))
        then = _run_all(self.run, [self._systemctl("daemon-reload")] if there else [])
        return Outcome(tuple(there), left, first or then)

    def status(self) -> list[Status]:
        return [Status(name, self.folder.state(name), self._said(name)) for name in self.files]

    def _said(self, name: str) -> dict[str, str]:
        wanted = "UnitFileState,ActiveState,Result,ExecMainExitTimestamp,LastTriggerUSec"
        done = self.run(self._systemctl("show", f"--property={wanted}", name))
        lines = done.out.splitlines() if done.code == 0 else []
        return {key: value for key, _, value in (line.partition("=") for line in lines) if value}

    def _systemctl(self, *arguments: str) -> list[str]:
        return ["systemctl", *self.options, *arguments]


@dataclass(frozen=True, slots=True)
class Launchd:
    """`launchctl` in `domain`: `gui/<user id>` is the user's graphical session, or `system`."""

    folder: UnitFolder
    run: Run
    domain: str
    labels: tuple[str, ...]

    def install(self, units: Mapping[str, str], *, force: bool) -> Outcome:
        changed = tuple(self.folder.write(units, force=force))
        for label in self.labels:
            if f"{label}.plist" in changed:
                # One that is loaded keeps its old form until it is taken out; else this fails.
                self.run(["launchctl", "bootout", self._target(label)])
        missing = [label for label in self.labels if self._print(label).code != 0]
        commands = [self._bootstrap(label) for label in missing]
        return Outcome(changed, untold=_run_all(self.run, commands))

    def uninstall(self) -> Outcome:
        there = [label for label in self.labels if self._state(label) == "installed"]
        loaded = [label for label in there if self._print(label).code == 0]
        out = [["launchctl", "bootout", self._target(label)] for label in loaded]
        done = _run_all(self.run, out)
        left = [label for label in self.labels if not self.folder.remove(f"{label}.plist")]
        return Outcome(tuple(there), tuple(left), done)

    def status(self) -> list[Status]:
        return [Status(label, self._state(label), self._said(label)) for label in self.labels]

    def _said(self, label: str) -> dict[str, str]:
        """`state` and `last exit code` are what `launchctl print` calls them."""
        done = self._print(label)
        lines = done.out.splitlines() if done.code == 0 else []
        pairs = (line.strip().partition(" = ") for line in lines)
        return {key: value for key, _, value in pairs if key in ("state", "last exit code")}

    def _print(self, label: str) -> Done:
        return self.run(["launchctl", "print", self._target(label)])

    def _bootstrap(self, label: str) -> list[str]:
        path = self.folder.path / f"{label}.plist"
        return ["launchctl", "bootstrap", self.domain, str(path)]

    def _target(self, label: str) -> str:
        return f"{self.domain}/{label}"

    def _state(self, label: str) -> UnitState:
        return self.folder.state(f"{label}.plist")


def _run_all(run: Run, commands: Sequence[Sequence[str]]) -> Untold | None:
    """In order, up to the first that fails: that one and those after it are left to a person."""
    for place, command in enumerate(commands):
        done = run(command)
        if done.code != 0:
            reason = " ".join(done.out.split()) or f"exit code {done.code}"
            to_run = " && ".join(shlex.join(later) for later in commands[place:])
            return Untold(f"{command[0]}: {reason}", to_run)
    return None
