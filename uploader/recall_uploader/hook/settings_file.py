"""An agent's settings file: read whole, backed up, replaced in one step."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from recall_uploader.durable import sync_folder
from recall_wire.errors import SettingsInvalid, TransientError
from recall_wire.manifest import now_utc

_MAX_BYTES = 16 << 20
_BACKUP = "recall-backup-"


class SettingsChanged(TransientError):
    """Somebody else wrote the file meanwhile."""


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """`path` as it was named; links are followed to the file that is replaced, while the backups
    lie beside the name: a folder that is kept under version control gets none."""

    path: Path
    clock: Callable[[], datetime] = now_utc

    def read(self) -> str | None:
        """None: there is none. Raises `SettingsInvalid`."""
        try:
            data = self._bytes()
        except FileNotFoundError:
            return None
        if data.startswith(b"\xef\xbb\xbf"):
            raise self._refused("it begins with a byte order mark")
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise self._refused(f"it is not UTF-8 at byte {error.start}") from error

    def write(self, before: str | None, text: str) -> Path | None:
        """Replace `before`, as it was read; returns the backup's path. Raises `SettingsInvalid`,
        `SettingsChanged`, `OSError`; the file is then as it was."""
        data = _encoded(text)
        target = Path(os.path.realpath(self.path))
        target.parent.mkdir(parents=True, exist_ok=True)
        status = target.stat() if before is not None else None
        backup = self._back_up(before.encode(), status) if before is not None and status else None
        part = target.with_name(f".{target.name}.recall-{os.getpid()}")
        try:
            _write_new(part, data, status)
            if self.read() != before:
                raise SettingsChanged(f"{self.path} was changed meanwhile", hint="run it again")
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        sync_folder(target.parent)
        return backup

    def backups(self) -> list[Path]:
        """Newest first."""
        return sorted(self.path.parent.glob(f"{self.path.name}.{_BACKUP}*"), reverse=True)

    def _bytes(self) -> bytes:
        status = self.path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise self._refused("it is no file")
        if status.st_size > _MAX_BYTES:
            raise self._refused(f"it is larger than {_MAX_BYTES >> 20} MiB")
        return self.path.read_bytes()

    def _back_up(self, data: bytes, status: os.stat_result) -> Path:
        """Beside it, unless one lies there with the same bytes."""
        for path in self.backups():
            if path.is_file() and path.read_bytes() == data:
                return path
        stem = f"{self.path.name}.{_BACKUP}{self.clock():%Y%m%dT%H%M%SZ}"
        count, path = 1, self.path.with_name(stem)
        while path.exists():
            count += 1
            path = self.path.with_name(f"{stem}-{count}")
        _write_new(path, data, status)
        return path

    def _refused(self, reason: str) -> SettingsInvalid:
        return refused(self.path, reason)


def refused(path: Path, reason: str) -> SettingsInvalid:
    return SettingsInvalid(
        f"{path} was left as it is: {reason}", hint="correct the file, then run it again"
    )


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise SettingsInvalid("a path that is not UTF-8 cannot stand in JSON") from error


def _write_new(path: Path, data: bytes, status: os.stat_result | None) -> None:
    """A new file on the disk, with the mode and owner of the one it stands for."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        file.write(data)
        if status is not None:
            with suppress(PermissionError):
                os.fchown(descriptor, status.st_uid, status.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(status.st_mode))
        file.flush()
        os.fsync(descriptor)
