"""What the service manager is told: `sd_notify`, without a library."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress

READY, STOPPING, ALIVE = "READY=1", "STOPPING=1", "WATCHDOG=1"
STATUS_CHARS = 200


def notify(*words: str) -> None:
    """Send to `$NOTIFY_SOCKET`; nothing happens where nobody listens.

    https://www.freedesktop.org/software/systemd/man/sd_notify.html
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    name = f"\0{address[1:]}" if address.startswith("@") else address
    # A manager that does not listen any more is no reason to fail.
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(name)
        sender.send("\n".join(words).encode())


def status(sentence: str) -> str:
    """What `systemctl status` shows, on one line."""
    return f"STATUS={' '.join(sentence.split())[:STATUS_CHARS]}"


def reloading() -> tuple[str, str]:
    """Settings are read again from this moment on; `READY` ends it."""
    return "RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}"


def more_time(seconds: float) -> str:
    """A start or a stop may take so much longer, from now."""
    return f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}"


def watchdog_s() -> float | None:
    """Within how many seconds `ALIVE` is expected each time; None where nobody waits for it."""
    try:
        whose = int(os.environ.get("WATCHDOG_PID") or os.getpid())
        timeout_s = int(os.environ["WATCHDOG_USEC"]) / 1e6
    except (KeyError, ValueError):
        return None
    return timeout_s if whose == os.getpid() and timeout_s > 0 else None
