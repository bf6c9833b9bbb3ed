"""What makes a run short and the same everywhere: deadlines, byte code, where files are written."""

from __future__ import annotations

import functools
import os
import shutil
import sys
import tempfile
from pathlib import Path

from botocore.loaders import JSONFileLoader
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent / "processes"))  # forked

# By default an example that takes more than 200 ms is a failure.
settings.register_profile("recalld", deadline=None)
settings.load_profile("recalld")

# Hundreds of tests start a program; a fifth of a start is compiling, where nothing is kept.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A client of S3 is made from descriptions of all that S3 can do, which each session reads anew: a
# program does so once, the tests hundreds of times, for 50 ms each.
_read = functools.cache(JSONFileLoader().load_file)
JSONFileLoader.load_file = lambda _, file_path: _read(file_path)

# No test pulls the plug: what was written outlives a killed process in memory as on a disk, which
# would take half of the time for its part of each commit.
MEMORY, ROOM_BYTES = Path("/dev/shm"), 8 << 30
if "TMPDIR" not in os.environ and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM_BYTES:
    os.environ["TMPDIR"] = str(MEMORY)
    tempfile.tempdir = None  # asked for again
