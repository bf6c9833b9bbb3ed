"""One worker process per hook folder, which outlives the session that starts it."""

from __future__ import annotations

import fcntl
import os
import sys

LOCK_DESCRIPTOR = 3
LOG_FILE = "hook.log"
_LOCK_FILE = "worker.lock"
_MAX_DESCRIPTORS = 1 << 16


def start_worker(folder: str, environment: dict[str, str]) -> None:
    """Start the worker, unless one runs: it looks for notes once more before it ends.

    The lock belongs to the open file, not to a process: the worker inherits it, so there is no
    instant at which nobody holds it. Returns when the worker can no longer be reached by what
    ends the session's process group or closes its terminal. Raises `OSError`.
    """
    path = os.path.join(folder, _LOCK_FILE)
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    child = os.fork()
    if child == 0:
        _leave_session(lock, folder, environment)
    os.waitpid(child, 0)


def _leave_session(lock: int, folder: str, environment: dict[str, str]) -> None:
    """The child: a session of its own, and in it a grandchild that is not its leader and so can
    never get a terminal. Never returns into the code of the hook."""
    code = 127
    try:
        os.setsid()
        if os.fork() == 0:
            _become_worker(lock, folder, environment)
        code = 0
    finally:
        os._exit(code)


def _become_worker(lock: int, folder: str, environment: dict[str, str]) -> None:
    try:
        _keep_only(lock, folder)
        os.chdir("/")
        module = "recall_uploader.hook.worker"
        os.execve(sys.executable, [sys.executable, "-P", "-m", module, folder], environment)
    except BaseException as error:
        os.write(2, f"recall: the worker did not start: {error}\n".encode(errors="replace"))
    finally:
        os._exit(127)


def _keep_only(lock: int, folder: str) -> None:
    """Nothing of the agent's stays open: it may wait for the end of its pipes."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.dup2(_log(folder, null), 2)
    os.dup2(lock, LOCK_DESCRIPTOR)
    os.set_inheritable(LOCK_DESCRIPTOR, True)
    os.closerange(LOCK_DESCRIPTOR + 1, min(os.sysconf("SC_OPEN_MAX"), _MAX_DESCRIPTORS))


def _log(folder: str, otherwise: int) -> int:
    """For what an interpreter says that cannot start; O_NONBLOCK: never wait for a named pipe."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK
    try:
        return os.open(os.path.join(folder, LOG_FILE), flags, 0o600)
    except OSError:
        return otherwise
