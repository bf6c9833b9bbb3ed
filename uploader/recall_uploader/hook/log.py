"""What came of the uploads that nobody waited for: one line each, bounded."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from recall_wire.manifest import now_utc

MAX_BYTES = 1 << 20
_MAX_LINE = 2000


@dataclass(frozen=True, slots=True)
class Log:
    """Past `MAX_BYTES` the file becomes `<name>.1`, and the one before that goes."""

    path: Path
    clock: Callable[[], datetime] = now_utc

    def say(self, sentence: str) -> None:
        """A line that cannot be written stops nothing."""
        with suppress(OSError):
            self._rotate()
            self._write(sentence)

    def _write(self, sentence: str) -> None:
        words = "".join(c if c.isprintable() else " " for c in sentence[:_MAX_LINE]).split()
        line = f"{self.clock():%Y-%m-%dT%H:%M:%SZ} {' '.join(words)}\n"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK
        descriptor = os.open(self.path, flags, 0o600)
        try:
            os.write(descriptor, line.encode(errors="backslashreplace"))
        finally:
            os.close(descriptor)

    def _rotate(self) -> None:
        try:
            full = self.path.stat().st_size >= MAX_BYTES
        except FileNotFoundError:
            return
        if full:
            self.path.replace(self.path.with_name(f"{self.path.name}.1"))
