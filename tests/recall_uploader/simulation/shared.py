"""What outlives a killed process: the world's clock, and its diary."""

from __future__ import annotations

import mmap
import os
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

_BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Shared:
    """Made before the first fork. Time passes only where somebody waits."""

    def __init__(self, diary: Path) -> None:
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)
        self._diary = os.open(diary, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.jump_s = 0.0

    def monotonic(self) -> float:
        return float(struct.unpack_from("d", self._memory)[0])

    def now(self) -> datetime:
        """What the machine's clock says, which may be wrong."""
        return _BEGAN + timedelta(seconds=self.monotonic() + self.jump_s)

    def sleep(self, seconds: float) -> None:
        struct.pack_into("d", self._memory, 0, self.monotonic() + seconds)

    def tell(self, line: str) -> None:
        os.write(self._diary, f"{line}\n".encode())
