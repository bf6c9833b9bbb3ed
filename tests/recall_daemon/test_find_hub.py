"""Whom a command talks to, also while a daemon stops; and that a daemon does stop."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from recall_daemon import remote
from recall_daemon.errors import HubUnreachable
from recall_daemon.lock import FolderLock
from recall_daemon.remote import find_hub

HANGING = """
import sys, threading
from recall_daemon.commands import program, run
from recall_daemon.index.follower import Index
run.STOP_S = 0.5
Index.close = lambda self: threading.Event().wait()
sys.argv = ["recalld", "run"]
program.main()
"""


@pytest.fixture
def port() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def lock(tmp_path: Path, port: socket.socket) -> FolderLock:
    """Of a daemon that answers at `port`."""
    lock = FolderLock(tmp_path)
    lock.announce(f"http://127.0.0.1:{port.getsockname()[1]}")
    return lock


def test_a_daemon_that_listens_is_asked(lock: FolderLock, tmp_path: Path) -> None:
    assert find_hub(tmp_path) is not None
    lock.release()
    assert find_hub(tmp_path) is None


def test_a_daemon_that_stops_is_waited_for(
    lock: FolderLock, port: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port.close()
    monkeypatch.setattr(time, "sleep", lambda _: lock.release())
    assert find_hub(tmp_path) is None


def test_one_that_holds_its_folder_and_does_not_listen_is_an_error(
    lock: FolderLock, port: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port.close()
    looks: list[float] = []
    monkeypatch.setattr(time, "sleep", looks.append)
    with pytest.raises(HubUnreachable, match="does not answer"):
        find_hub(tmp_path)
    assert len(looks) == remote.LOOKS
    lock.release()


def test_a_daemon_ends_whatever_hangs(tmp_path: Path) -> None:
    (tmp_path / "bucket").mkdir()
    settings = {
        "RECALLD_DATA_DIR": str(tmp_path / "hub"),
        "RECALLD_BUCKET_URL": f"file://{tmp_path / 'bucket'}",
        "RECALLD_EMBEDDER": "hash",
        "RECALLD_HTTP_PORT": "0",
    }
    child = [sys.executable, "-c", HANGING]
    with subprocess.Popen(
        child,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | settings,
    ) as process:
        try:
            assert process.stdout is not None
            assert "answers at" in process.stdout.readline()
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()
    assert find_hub(tmp_path / "hub") is None
