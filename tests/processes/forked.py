"""Scripts as processes of their own, forked from one that has imported the programs already.

A start takes a tenth of a second of CPU instead of one. What is started is a real process: it has
its own environment, pipes and exit status, and can be killed.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing import reduction
from multiprocessing.forkserver import set_forkserver_preload
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import IO, Any

Command = Sequence[str | Path]

PRELOADED = [
    "recall_daemon.commands",
    "recall_daemon.daemon",
    "recall_daemon.remote",
    "recall_uploader.app",
    "recall_uploader.cli",
    "recall_wire.buckets.folder",
]
set_forkserver_preload(PRELOADED)

# Where fork without exec is not safe, as Apple says of its own libraries, they are started anew.
FORKS = sys.platform != "darwin"


def start(command: Command, environment: Mapping[str, str] | None = None) -> Any:
    """Run a Python script with its arguments; its output is read by `communicate` at its end."""
    if not FORKS:
        return _popen(command, environment, stderr=subprocess.PIPE)
    out, err = (tempfile.TemporaryFile("w+") for _ in range(2))  # noqa: SIM115 `communicate` closes
    process = _process(command, environment, out.fileno(), err.fileno())
    return Forked(process, out, err)


def start_talking(command: Command, environment: Mapping[str, str] | None = None) -> Any:
    """Run a Python script whose lines are read from `stdout` while it works."""
    if not FORKS:
        return _popen(command, environment, stderr=None)
    reading, writing = os.pipe()
    process = _process(command, environment, writing, 2)
    os.close(writing)  # or its end would not be seen
    return Forked(process, os.fdopen(reading))


def killed_after(process: Any, seconds: float) -> bool:
    """Kill the process after some time, unless it has ended; whether it was killed."""
    try:
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return True
    return False


def _popen(command: Command, environment: Mapping[str, str] | None, stderr: int | None) -> Any:
    return subprocess.Popen(
        [sys.executable, *command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )


def _process(
    command: Command, environment: Mapping[str, str] | None, out: int, err: int
) -> BaseProcess:
    process = multiprocessing.get_context("forkserver").Process(
        target=_run,
        args=(
            [str(word) for word in command],
            dict(os.environ if environment is None else environment),
            [_Descriptor(out), _Descriptor(err)],
        ),
    )
    process.start()
    return process


class Forked:
    """As much of `subprocess.Popen` as tests use."""

    def __init__(self, process: BaseProcess, stdout: IO[str], stderr: IO[str] | None = None):
        self.stdout = stdout
        self._stderr = stderr
        self._process = process

    @property
    def pid(self) -> int:
        return int(self._process.pid or 0)

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def kill(self) -> None:
        self._process.kill()

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status, minus the signal that ended it. Raises `subprocess.TimeoutExpired`."""
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired("forked", timeout or 0)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it wrote and was not read. Raises `subprocess.TimeoutExpired`."""
        self.wait(timeout)
        return _rest(self.stdout), _rest(self._stderr)

    def __enter__(self) -> Forked:
        return self

    def __exit__(self, *_: object) -> None:
        self.communicate()


def _rest(stream: IO[str] | None) -> str:
    if stream is None or stream.closed:
        return ""
    with stream:
        if stream.seekable():
            stream.seek(0)
        return stream.read()


class _Descriptor:
    """Of an open file; pickled for a child, it is the child's own."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> Any:
        return _received, (reduction.DupFd(self.number),)


def _received(sent: Any) -> _Descriptor:
    return _Descriptor(sent.detach())


def _run(command: list[str], environment: dict[str, str], streams: list[_Descriptor]) -> None:
    """In the child: become what `python COMMAND…` would be."""
    os.environ.clear()
    os.environ.update(environment)
    for number, stream in enumerate(streams, start=1):
        os.dup2(stream.number, number)
        os.close(stream.number)
    faulthandler.enable()
    sys.argv = command
    sys.path.insert(0, str(Path(command[0]).parent))
    runpy.run_path(command[0], run_name="__main__")
