"""One run at a time per state folder."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from recall_uploader.errors import StateBusy

_POLL_S = 0.1


@contextmanager
def exclusive(
    path: Path, *, wait_s: float, sleep: Callable[[float], None] = time.sleep
) -> Iterator[None]:
    """Hold the lock file; it is released when the process ends, however it ends.

    Raises `StateBusy` when another process still holds it after `wait_s`.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _acquire(descriptor, path, wait_s, sleep)
        yield
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, path: Path, wait_s: float, sleep: Callable[[float], None]) -> None:
    waited_s = 0.0
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if waited_s >= wait_s:
                raise StateBusy(
                    f"another recall run is using {path.parent}",
                    hint="it delivers what is there; try again when it has ended",
                ) from error
        sleep(_POLL_S)
        waited_s += _POLL_S
