"""The note that a session's end leaves: which settings to use, and what the agent said."""

from __future__ import annotations

import os
import stat
import time

_SUFFIX = ".request"
_PART_SUFFIX = ".part"
_PART_MAX_AGE_S = 60.0


def write_request(folder: str, config: str, said: bytes) -> str:
    """Returns its path. Not fsynced: after a power cut the source still has everything, and
    waiting for a disk is what nobody may do here. Raises `OSError`."""
    requests = requests_folder(folder)
    os.makedirs(requests, mode=0o700, exist_ok=True)
    name = f"{time.time_ns():020d}-{os.getpid()}"
    part = os.path.join(requests, name + _PART_SUFFIX)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(os.fsencode(config) + b"\0" + said)
        path = os.path.join(requests, name + _SUFFIX)
        os.rename(part, path)
    except OSError:
        os.unlink(part)
        raise
    return path


def read_request(path: str) -> tuple[str, bytes]:
    """The settings file, or an empty string, and what the agent said. Raises `OSError`."""
    with open(path, "rb") as file:
        config, _, said = file.read().partition(b"\0")
    return os.fsdecode(config), said


def waiting(folder: str) -> list[str]:
    """The paths of the notes, oldest first. Somebody else's are none: they name a settings
    file, and with it where this user's memories go."""
    requests = requests_folder(folder)
    try:
        names = sorted(os.listdir(requests))
    except FileNotFoundError:
        return []
    paths = (os.path.join(requests, name) for name in names if name.endswith(_SUFFIX))
    return [path for path in paths if _is_own_file(path)]


def delete(path: str) -> None:
    """Idempotent."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def delete_parts(folder: str, now_s: float) -> None:
    """What a hook that was killed left half written."""
    requests = requests_folder(folder)
    for name in os.listdir(requests):
        path = os.path.join(requests, name)
        old = name.endswith(_PART_SUFFIX) and _is_own_file(path)
        if old and now_s - os.lstat(path).st_mtime > _PART_MAX_AGE_S:
            delete(path)


def requests_folder(folder: str) -> str:
    return os.path.join(folder, "requests")


def _is_own_file(path: str) -> bool:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
