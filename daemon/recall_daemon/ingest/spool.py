"""Where snapshots lie while they are read."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Spool:
    """A folder of this process alone: what a killed one left there is removed and fetched again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True, mode=0o700)

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """A folder of its own for one snapshot."""
        with tempfile.TemporaryDirectory(dir=self._path) as name:
            yield Path(name)
