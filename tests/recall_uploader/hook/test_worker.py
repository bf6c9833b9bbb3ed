"""One upload for all notes, and never a note that nobody reads."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from recall_uploader.hook import worker
from recall_uploader.hook.log import Log
from recall_uploader.hook.request import waiting, write_request
from recall_uploader.hook.worker import SETTLE_S, Worker, reason_in
from recall_wire.errors import BucketUnreachable

Make = Callable[..., Worker]


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "worker.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def uploads() -> list[Path | None]:
    return []


@pytest.fixture
def make(
    tmp_path: Path, lock: int, uploads: list[Path | None], monkeypatch: pytest.MonkeyPatch
) -> Make:
    monkeypatch.setattr(worker, "limit", lambda _: None)

    def upload(config: Path | None) -> str:
        uploads.append(config)
        return "done"

    def made(**parts: Any) -> Worker:
        known = {"log": Log(tmp_path / "hook.log"), "upload": upload, "sleep": lambda _: None}
        return Worker(tmp_path, lock, **(known | parts))

    return made


def note(folder: Path, config: str = "", said: bytes = b"") -> str:
    return write_request(str(folder), config, said)


def log_of(folder: Path) -> str:
    return (folder / "hook.log").read_text()


def test_all_notes_are_one_upload(tmp_path: Path, make: Make, uploads: list[Path | None]) -> None:
    for reason in (b'{"reason": "clear"}', b'{"reason": "exit"}', b"?"):
        note(tmp_path, said=reason)
    make().run()
    assert uploads == [None]
    assert waiting(str(tmp_path)) == []
    assert log_of(tmp_path).endswith("Z 3 ended (clear, exit, unknown): done\n")


def test_each_settings_file_is_one_upload(
    tmp_path: Path, make: Make, uploads: list[Path | None]
) -> None:
    for config in ("/a\n b.yaml", "", "/a\n b.yaml"):
        note(tmp_path, config)
    make().run()
    assert uploads == [Path("/a\n b.yaml"), None]


def test_without_a_note_nothing_is_uploaded_or_waited_for(
    make: Make, uploads: list[Path | None]
) -> None:
    waits: list[float] = []
    make(sleep=waits.append).run()
    assert (uploads, waits) == ([], [])


def test_what_comes_while_it_settles_is_in_the_same_upload(
    tmp_path: Path, make: Make, uploads: list[Path | None]
) -> None:
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) < 3:
            note(tmp_path)

    note(tmp_path)
    make(sleep=sleep).run()
    assert waits == [SETTLE_S] * 3
    assert uploads == [None]


def test_notes_that_never_cease_are_uploaded_all_the_same(tmp_path: Path, make: Make) -> None:
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        note(tmp_path)

    def upload(_: Path | None) -> str:
        raise SystemExit

    note(tmp_path)
    with pytest.raises(SystemExit):
        make(sleep=sleep, upload=upload).run()
    assert len(waits) == 10


def test_what_comes_while_it_uploads_is_uploaded_next(tmp_path: Path, make: Make) -> None:
    counts: list[int] = []

    def upload(_: Path | None) -> str:
        counts.append(len(waiting(str(tmp_path))))
        if len(counts) == 1:
            note(tmp_path)
        return "done"

    note(tmp_path)
    make(upload=upload).run()
    assert counts == [1, 1]
    assert waiting(str(tmp_path)) == []


@pytest.mark.parametrize("another_was_faster", [False, True])
def test_a_hook_between_the_last_look_and_the_open_lock(
    another_was_faster: bool,
    tmp_path: Path,
    make: Make,
    uploads: list[Path | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It found the lock taken and went home, or, a moment later, took it."""
    others: list[int] = []
    real = fcntl.flock

    def flock(descriptor: int, operation: int) -> None:
        if operation == fcntl.LOCK_UN and not others:
            note(tmp_path)
            others.append(os.open(tmp_path / "worker.lock", os.O_RDWR))
            real(descriptor, operation)
            if another_was_faster:
                real(others[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            real(descriptor, operation)

    monkeypatch.setattr("fcntl.flock", flock)
    make().run()

    assert uploads == ([] if another_was_faster else [None])
    assert len(waiting(str(tmp_path))) == another_was_faster
    os.close(others[0])


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (BucketUnreachable("the line is cut", hint="wait"), "the line is cut; wait"),
        (OSError(28, "No space left on device", "/s"), "/s: No space left on device"),
        (RuntimeError("key=AKIA-very-secret"), "unexpected RuntimeError at test_worker.py:"),
    ],
)
def test_what_fails_is_said_without_what_it_may_carry(
    error: Exception, says: str, tmp_path: Path, make: Make
) -> None:
    def upload(_: Path | None) -> str:
        raise error

    note(tmp_path)
    make(upload=upload).run()
    assert f"1 ended (unknown): not uploaded: {says}" in log_of(tmp_path)
    assert "AKIA" not in log_of(tmp_path)
    assert waiting(str(tmp_path)) == []


def test_a_note_that_cannot_be_deleted_is_taken_once(
    tmp_path: Path, make: Make, uploads: list[Path | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recall_uploader.hook.request.delete", lambda _: None)
    note(tmp_path)
    make().run()
    assert uploads == [None]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b'{"reason": "prompt_input_exit"}', "prompt_input_exit"),
        (b'{"reason": "a b\\n2026 forged line"}', "unknown"),
        (b'{"reason": ["clear"]}', "unknown"),
        (b"[]", "unknown"),
        (b"\xff", "unknown"),
        (b"[" * 100_000, "unknown"),
        (b'{"reason": "' + b"x" * 41 + b'"}', "unknown"),
    ],
)
def test_the_reason_is_a_word(said: bytes, reason: str) -> None:
    assert reason_in(said) == reason


def test_a_bucket_that_hangs_ends_with_the_time_of_the_run(session: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        session.environment |= {
            "RECALL_BUCKET_URL": "s3://memories",
            "RECALL_S3_ENDPOINT_URL": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "RECALL_S3_REGION": "us-east-1",
            "RECALL_S3_ACCESS_KEY_ID": "key",
            "RECALL_S3_SECRET_ACCESS_KEY": "very-secret",
            "RECALL_UPLOAD_TIMEOUT_S": "2",
        }
        assert session.end().stderr == b""
        session.worker_ended()
    assert session.log()
    assert "very-secret" not in "".join(session.log())


def test_the_kernel_ends_what_nothing_else_can() -> None:
    """Also where the signal was inherited ignored and blocked."""
    script = (
        "import signal, threading\n"
        "from recall_uploader.hook.worker import limit\n"
        "signal.signal(signal.SIGALRM, signal.SIG_IGN)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})\n"
        "limit(0.1)\n"
        "lock = threading.Lock()\n"
        "lock.acquire(), lock.acquire()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, timeout=60)
    assert done.returncode == -signal.SIGALRM


def test_settings_that_are_wrong_are_said_in_the_log(session: Any) -> None:
    session.environment["RECALL_BUCKET_URL"] = "http://example.com"
    assert session.end().stderr == b""
    session.worker_ended()
    (line,) = session.log()
    assert "not uploaded: " in line
    assert "is not a bucket URL" in line


def test_it_can_be_turned_off(session: Any) -> None:
    session.environment["RECALL_UPLOAD_ON_SESSION_END"] = "false"
    assert session.end().returncode == 0
    session.worker_ended()
    assert session.log()[0].endswith("nothing is uploaded: upload_on_session_end is false")
    assert not (session.state / "state.sqlite").exists()
