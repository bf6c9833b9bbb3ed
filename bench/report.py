"""What every larger benchmark says: progress on standard error, one JSON object, the machine."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

_STARTED_S = time.monotonic()


def progress(message: str) -> None:
    print(f"{time.monotonic() - _STARTED_S:7.1f} s  {message}", file=sys.stderr, flush=True)


def publish(result: dict[str, Any], path: Path | None) -> None:
    """Print the result; write it to a file, too, if one is named."""
    text = json.dumps(result, indent=2)
    print(text)
    if path is not None:
        path.write_text(text + "\n", encoding="utf-8")


def machine(packages: Sequence[str] = ()) -> dict[str, Any]:
    """Processor, cores, memory, load, and the versions of what took part."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "load_average": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("recalld", *packages)},
    }


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """p50 and p99 in ms, by the nearest rank."""
    ordered = sorted(seconds)
    last = len(ordered) - 1
    return {
        "p50_ms": round(1000 * ordered[round(0.50 * last)], 2),
        "p99_ms": round(1000 * ordered[round(0.99 * last)], 2),
    }


def folder_bytes(folder: Path) -> int:
    """Of every file below the folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()
