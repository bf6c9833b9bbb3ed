"""No test fails because the machine is busy, and no child process compiles what another has."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent / "processes"))  # forked

# By default an example that takes more than 200 ms is a failure.
settings.register_profile("recalld", deadline=None)
settings.load_profile("recalld")

# Hundreds of tests start a program; a fifth of a start is compiling, where nothing is kept.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
