"""The real console script, its worker, and what they leave."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

SCRIPT = Path(sys.executable).with_name("recall")


@dataclass
class Session:
    """An agent's session on this machine: what it calls at its end."""

    state: Path
    environment: dict[str, str]

    @property
    def folder(self) -> Path:
        return self.state / "hook"

    def command(self, *options: str) -> list[str]:
        return [str(SCRIPT), "hook", "session-end", *options]

    def end(
        self, said: bytes = b'{"reason": "clear"}', *options: str
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            self.command(*options),
            input=said,
            env=self.environment,
            capture_output=True,
            check=False,
            timeout=60,
        )

    def worker_ended(self) -> None:
        """Returns when no worker holds the lock."""
        with (self.folder / "worker.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)

    def worker(self) -> psutil.Process:
        """The only one; the hook may be back a moment before it has become what it is."""
        until = time.monotonic() + 30
        while not (found := self.workers()):
            assert time.monotonic() < until
        (worker,) = found
        return worker

    def workers(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter(["cmdline"]):
            if str(self.folder) in (process.info["cmdline"] or []):
                found.append(process)
        return found

    def log(self) -> list[str]:
        path = self.folder / "hook.log"
        return path.read_text().splitlines() if path.exists() else []

    def requests(self) -> list[Path]:
        return sorted((self.folder / "requests").iterdir())


@pytest.fixture
def environment(tmp_path: Path, notes: Path) -> dict[str, str]:
    """Of an instance that uploads ten notes into a folder."""
    (tmp_path / "bucket").mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RECALL_")}
    return kept | {
        "HOME": str(tmp_path / "home"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "RECALL_STATE_DIR": str(tmp_path / "state"),
        "RECALL_BUCKET_URL": (tmp_path / "bucket").as_uri(),
        "RECALL_SOURCE": str(notes),
        "RECALL_SYSTEM_ID": "laptop",
        "RECALL_MAX_RETRIES": "0",
    }


@pytest.fixture
def session(tmp_path: Path, environment: dict[str, str]) -> Session:
    return Session(tmp_path / "state", environment)


@pytest.fixture
def session_in(environment: dict[str, str]) -> Callable[[Path], Session]:
    def make(state: Path) -> Session:
        return Session(state, environment | {"RECALL_STATE_DIR": str(state)})

    return make
