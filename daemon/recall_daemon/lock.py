"""One process per data folder: a lock file that also says where the running daemon answers."""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path

from recall_daemon.errors import StoreBusy
from recall_wire.errors import SettingsInvalid

FILE_NAME = "recalld.lock"
LOOKS = 5
LOOK_S = 0.02


class FolderLock:
    """Holds `recalld.lock` for as long as this process lives; the kernel frees it on any exit."""

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._path = folder / FILE_NAME
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SettingsInvalid(
                f"the data folder {folder} cannot be written: {error.strerror}",
                hint="set RECALLD_DATA_DIR to a folder of yours",
            ) from error
        try:
            self._take()
        except OSError as error:
            os.close(self._file)
            raise StoreBusy(
                f"another recalld holds {folder}", hint="stop it, or ask it through its port"
            ) from error
        self.announce(None)

    def _take(self) -> None:
        # `running_at` holds the lock for an instant when it looks; that is no other daemon.
        for _ in range(LOOKS):
            try:
                return fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                time.sleep(LOOK_S)
        return fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def announce(self, url: str | None) -> None:
        """Say where this process answers; None while it does not."""
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, json.dumps({"pid": os.getpid(), "url": url}).encode(), 0)

    def release(self) -> None:
        os.close(self._file)


def running_at(folder: Path) -> str | None:
    """Where the process that holds the folder answers; None when no process holds it.

    Raises `StoreBusy` for a process that answers nowhere, such as `recalld once`.
    """
    try:
        file = os.open(folder / FILE_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None  # nobody's, or not to be read: opening it says what is wrong
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        url = _url(os.pread(file, 4096, 0))
        if url is None:
            raise StoreBusy(
                f"another recalld works on {folder}", hint="try again when it has finished"
            ) from error
        return url
    finally:
        os.close(file)
    return None


def _url(data: bytes) -> str | None:
    try:
        url = json.loads(data)["url"]
    except (ValueError, KeyError, TypeError):
        return None
    return url if isinstance(url, str) else None
