"""What a process used: peak memory, CPU and wall time, as Linux counts them."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

MIB = 1 << 20
_POLL_S = 0.01


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU is user and system together; memory is resident."""

    wall_s: float
    cpu_s: float
    peak_rss_bytes: int

    def over(self, idle: Usage) -> Usage:
        """What this one used more than an idle one."""
        return Usage(
            self.wall_s - idle.wall_s,
            max(0.0, self.cpu_s - idle.cpu_s),
            max(0, self.peak_rss_bytes - idle.peak_rss_bytes),
        )

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


class SelfMeter:
    """This process from now on. Made where the process is idle, read when the work is done."""

    def __init__(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
        self._rss_bytes = memory(os.getpid(), "VmRSS")
        self._cpu_s = _own_cpu_s()
        self._started_s = time.perf_counter()

    def used(self) -> Usage:
        return Usage(
            time.perf_counter() - self._started_s,
            _own_cpu_s() - self._cpu_s,
            memory(os.getpid(), "VmHWM") - self._rss_bytes,
        )


def watch(command: Sequence[str | Path], environment: Mapping[str, str]) -> Usage:
    """Run a command to its end. Its peak is read while it runs: `ru_maxrss` of a child counts
    what its parent held when it forked. Raises `CalledProcessError`."""
    started_s = time.perf_counter()
    process = subprocess.Popen(command, env=dict(environment), stdout=subprocess.DEVNULL)
    peak_bytes = 0
    while True:
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        if ended:
            break
        peak_bytes = max(peak_bytes, memory(process.pid, "VmHWM"))
        time.sleep(_POLL_S)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, [str(part) for part in command])
    wall_s = time.perf_counter() - started_s
    return Usage(wall_s, usage.ru_utime + usage.ru_stime, peak_bytes)


def memory(pid: int, name: str) -> int:
    """`VmRSS` or `VmHWM` of a process, in bytes; 0 once it has ended."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


def _own_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
