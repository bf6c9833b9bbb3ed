"""A thread for work that may wait: searches and writes get the processor first."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

# On a processor that is never idle it gets a quarter. What it starts, a library's own threads, has
# the same.
NICE = 5


def patient_thread(name: str) -> ThreadPoolExecutor:
    """One thread. Where the system knows no priority of threads it is like any other."""
    return ThreadPoolExecutor(1, thread_name_prefix=name, initializer=_be_patient)


def _be_patient() -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
