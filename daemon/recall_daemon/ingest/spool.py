"""Where snapshots lie while they are read, on a disk that must not run full."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recall_daemon.errors import DiskFull


class Spool:
    """A folder of this process alone: what a killed one left there is removed and fetched again."""

    def __init__(self, path: Path, *, min_free_bytes: int) -> None:
        self._path = path
        self.min_free_bytes = min_free_bytes
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True, mode=0o700)

    def check_disk(self) -> None:
        """Ingest stops before the store is hurt. Raises `DiskFull`."""
        free = shutil.disk_usage(self._path).free
        if free < self.min_free_bytes:
            raise DiskFull(
                f"{free} bytes are free on the disk of {self._path}",
                hint=f"ingest goes on when there are {self.min_free_bytes}",
            )

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """A folder of its own for one snapshot."""
        with tempfile.TemporaryDirectory(dir=self._path) as name:
            yield Path(name)
