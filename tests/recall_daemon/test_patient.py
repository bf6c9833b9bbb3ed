"""What may wait has less of the processor, and nothing else of this process has."""

from __future__ import annotations

import os
import sys
import threading

from recall_daemon.patient import NICE, patient_thread


def _niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def test_its_own_threads_wait_and_no_other() -> None:
    before = _niceness()
    with patient_thread("test") as pool:
        inside = pool.submit(_niceness).result()
    assert _niceness() == before
    assert inside == (max(before, NICE) if sys.platform == "linux" else before)
