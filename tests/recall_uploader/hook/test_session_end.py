"""The hook as an agent calls it, in a process of its own."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import resource
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from recall_uploader.hook import session_end
from recall_uploader.settings import default_state_folder


def test_a_session_ends_and_what_is_new_is_delivered(session: Any, view: Any) -> None:
    said = {"session_id": "s", "transcript_path": "/t", "cwd": "/", "reason": "logout", "x": [1]}
    done = session.end(json.dumps(said).encode())

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    session.worker_ended()
    (line,) = session.log()
    assert "1 ended (logout): laptop: delivered up to snapshot 1: 10 rows, " in line
    assert len(view.records()) == 10
    assert session.requests() == []
    assert psutil.wait_procs(session.workers(), timeout=30)[1] == []


def test_ten_at_once_make_one_upload(session: Any, view: Any) -> None:
    running = [
        subprocess.Popen(
            session.command(), env=session.environment, stdin=subprocess.DEVNULL, stderr=-1
        )
        for _ in range(10)
    ]
    assert [process.communicate()[1] for process in running] == [b""] * 10
    assert [process.returncode for process in running] == [0] * 10
    assert session.worker().is_running()

    session.worker_ended()
    (line,) = session.log()
    assert "10 ended (unknown): laptop: delivered up to snapshot 1: 10 rows" in line
    assert view.seqs() == [1]
    assert session.requests() == []


def test_a_killed_session_does_not_take_the_worker_with_it(session: Any, view: Any) -> None:
    """All of its process group at once, as an agent's own watchdog does, the instant the hook is
    back."""
    script = '"$@" </dev/null; kill -KILL 0'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *session.command()],
        env=session.environment,
        start_new_session=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL

    session.worker_ended()
    assert "delivered up to snapshot 1" in session.log()[0]
    assert view.seqs() == [1]


def test_the_worker_has_nothing_of_the_agents(session: Any) -> None:
    kept, given = os.pipe()
    subprocess.run(
        session.command(),
        env=session.environment | {"AWS_PROFILE": "mine"},
        stdin=subprocess.PIPE,
        pass_fds=[given],
        check=True,
    )
    worker = session.worker()
    with worker.oneshot():
        assert worker.cwd() == "/"
        assert worker.environ()["AWS_PROFILE"] == "mine"
        assert os.getsid(worker.pid) != os.getsid(0)
        assert os.getsid(worker.pid) != worker.pid
    os.close(given)
    # The end of the pipe is seen while the worker runs: it does not hold it open.
    os.set_blocking(kept, False)
    assert os.read(kept, 1) == b""
    os.close(kept)
    session.worker_ended()


@pytest.mark.parametrize(
    "said",
    [b"", b"\xff\xfe\0\0garbage", b"[1, 2", b'"reason"', b"[" * 100_000, b'{"reason": 1e999}'],
    ids=["empty", "binary", "cut", "no object", "nested", "no word"],
)
def test_garbage_on_standard_input_is_survived(said: bytes, session: Any) -> None:
    assert session.end(said).returncode == 0
    session.worker_ended()
    assert "1 ended (unknown): laptop: delivered" in session.log()[0]


def test_a_hundred_megabytes_are_not_kept(session: Any) -> None:
    session.folder.mkdir(parents=True)
    with (session.folder / "worker.lock").open("w") as lock:
        hold(lock.fileno())
        assert session.end(b"x" * 100_000_000).returncode == 0
    (request,) = session.requests()
    assert request.stat().st_size <= session_end.KEPT_BYTES + 1


def test_an_input_that_never_ends_is_not_waited_for(session: Any) -> None:
    process = subprocess.Popen(
        session.command(), env=session.environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(b'{"reason": "other"}')
    process.stdin.flush()
    # The pipe is open still.
    assert process.wait(timeout=30) == 0
    assert process.stderr.read() == b""
    process.stderr.close()
    process.stdin.close()
    session.worker_ended()
    assert "1 ended (other)" in session.log()[0]


def test_a_terminal_is_not_read(session: Any) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, b'{"reason": "clear"}\n')
    done = subprocess.run(session.command(), env=session.environment, stdin=theirs, check=False)
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 0
    session.worker_ended()
    assert "1 ended (unknown)" in session.log()[0]


def test_closed_streams_are_survived(session: Any) -> None:
    script = 'exec "$@" <&- >&- 2>&-'
    command = ["sh", "-c", script, "sh", *session.command()]
    assert subprocess.run(command, env=session.environment, check=False).returncode == 0
    session.worker_ended()
    assert "delivered up to snapshot 1" in session.log()[0]


def test_options_go_to_the_worker_from_any_folder(
    session: Any, session_in: Callable[[Path], Any], tmp_path: Path
) -> None:
    del session.environment["RECALL_SOURCE"], session.environment["RECALL_STATE_DIR"]
    (tmp_path / "my.yaml").write_text(f"source: {tmp_path / 'notes.jsonl'}\n")
    done = subprocess.run(
        session.command("--state-dir", "my state", "--config=my.yaml", "--to-come", "1"),
        env=session.environment,
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 0
    there = session_in(tmp_path / "my state")
    there.worker_ended()
    assert "laptop: delivered up to snapshot 1: 10 rows" in there.log()[0]
    assert (tmp_path / "my state" / "state.sqlite").exists()


def test_a_home_with_spaces(session: Any, session_in: Callable[[Path], Any]) -> None:
    home = session.state.parent / "a home of'mine"
    for name in ("RECALL_STATE_DIR", "XDG_DATA_HOME"):
        session.environment.pop(name, None)
    session.environment["HOME"] = str(home)
    assert session.end().returncode == 0
    there = session_in(home / ".local/share/recall")
    there.worker_ended()
    assert "delivered" in there.log()[0]


def test_no_home(session: Any) -> None:
    del session.environment["HOME"]
    assert session.end().stderr == b""
    session.worker_ended()
    assert "delivered" in session.log()[0]


def test_a_state_folder_that_cannot_be(session: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    session.environment["RECALL_STATE_DIR"] = str(tmp_path / "file" / "state")
    done = session.end()
    assert done.returncode == 0
    assert done.stderr.count(b"\n") == 1
    assert b"Not a directory" in done.stderr


def test_a_disk_that_takes_nothing(session: Any) -> None:
    session.folder.mkdir(parents=True)
    done = subprocess.run(
        session.command(),
        env=session.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
        check=False,
    )
    assert done.returncode == 0
    assert done.stderr == b"recall: the session's end started no upload: File too large\n"
    assert session.requests() == []
    assert session.workers() == []


def test_a_hook_beside_a_worker_leaves_its_note_and_starts_none(session: Any) -> None:
    session.folder.mkdir(parents=True)
    with (session.folder / "worker.lock").open("w") as lock:
        hold(lock.fileno())
        assert session.end().returncode == 0
        assert len(session.requests()) == 1
        assert session.workers() == []


def test_a_killed_worker_leaves_its_notes_to_the_next(session: Any) -> None:
    assert session.end().returncode == 0
    worker = session.worker()
    worker.send_signal(signal.SIGKILL)
    psutil.wait_procs([worker])
    assert len(session.requests()) == 1

    assert session.end().returncode == 0
    session.worker_ended()
    assert "2 ended (clear): laptop: delivered up to snapshot 1" in session.log()[0]


@pytest.mark.parametrize("names", [(), ("XDG_DATA_HOME",)], ids=["home", "data home"])
def test_the_folder_is_the_one_of_the_settings(
    names: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    for name in names:
        monkeypatch.setenv(name, str(tmp_path / name))
    assert session_end.default_state_folder(dict(os.environ)) == str(default_state_folder())
    assert session_end.hook_folder(dict(os.environ)) == str(default_state_folder() / "hook")


def test_the_folder_on_a_mac(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    assert session_end.default_state_folder({}) == str(default_state_folder())


def test_without_a_home_folder_nothing_is_written_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    with pytest.raises(OSError, match="no home folder"):
        session_end.hook_folder({})


def hold(descriptor: int) -> None:
    """As a worker holds it."""
    fcntl.flock(descriptor, fcntl.LOCK_EX)
