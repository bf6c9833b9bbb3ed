"""Which machine this is, as a hash: the id itself never leaves it."""

from __future__ import annotations

import hashlib
import platform
import re
import socket
import subprocess
import uuid
from pathlib import Path

MACHINE_HEX = 32
_LINUX_IDS = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9._-]+")


def machine_hash(override: str | None = None) -> str:
    """32 hex digits that stay the same on this machine and differ on every other.

    `override` stands in for the machine's own id: containers share or change theirs.
    """
    raw = override or _linux_id() or _mac_id() or f"node-{uuid.getnode():012x}"
    return hashlib.sha256(f"recall machine {raw}".encode()).hexdigest()[:MACHINE_HEX]


def default_system_id(machine: str) -> str:
    """The host's name, made safe, and four digits of the machine hash."""
    name = _NOT_ALLOWED.sub("-", socket.gethostname().split(".")[0])
    return f"{name.lstrip('._-')[:80] or 'host'}-{machine[:4]}"


def _linux_id() -> str | None:
    for path in _LINUX_IDS:
        try:
            text = path.read_text(encoding="ascii", errors="replace").strip()
        except OSError:
            continue
        if text and text != "uninitialized":
            return text
    return None


def _mac_id() -> str | None:
    if platform.system() != "Darwin":
        return None
    command = ["/usr/sbin/ioreg", "-rd1", "-c", "IOPlatformExpertDevice"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r'"IOPlatformUUID"\s*=\s*"([^"]+)"', answer.stdout)
    return found.group(1) if found else None
