"""Every row exactly once, whatever fails and wherever the process is killed: seeded worlds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SEEDS = 1_000 if os.environ.get("RECALLD_TEST_SOAK") == "1" else 25
BATCH = 25
FOLDER = Path(__file__).parent


@pytest.mark.parametrize("first", range(1, SEEDS + 1, BATCH))
def test_whatever_fails_every_row_arrives_exactly_once(first: int) -> None:
    """A failing seed tells its story, and how it is run alone."""
    command = [sys.executable, str(FOLDER), "--seed", str(first), "--count", str(BATCH)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
