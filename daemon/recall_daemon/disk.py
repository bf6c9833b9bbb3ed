"""A disk that must not run full: whatever takes memories in looks first."""

from __future__ import annotations

import shutil
from pathlib import Path

from recall_daemon.errors import DiskFull


class Disk:
    """That of the data folder. `min_free_bytes` may be changed at any time."""

    def __init__(self, folder: Path, *, min_free_bytes: int) -> None:
        self._folder = folder
        self.min_free_bytes = min_free_bytes

    def check(self) -> None:
        """Ingest stops before the store is hurt. Raises `DiskFull`."""
        free = shutil.disk_usage(self._folder).free
        if free < self.min_free_bytes:
            raise DiskFull(
                f"{free} bytes are free on the disk of {self._folder}",
                hint=f"ingest goes on when there are {self.min_free_bytes}",
            )
