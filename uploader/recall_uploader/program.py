"""Where this very `recall` lies."""

from __future__ import annotations

from pathlib import Path

from recall_wire.service import program

NAME = "recall"


def program_path() -> Path:
    """See `recall_wire.service.program.program_path`."""
    return program.program_path(NAME)
