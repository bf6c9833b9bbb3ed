"""The session-end hook's wall time while the bucket hangs, beside `python3 -c pass`; prints JSON.

Both run in a copy of this interpreter, its standard library and our packages. Warm: as they are.
Cold: before each run every file of the copy is written out and dropped from the page cache
(`posix_fadvise DONTNEED`), which works since nothing else maps the copy; the kernel's own directory
cache stays, as only root can drop it. `blocks_read` shows that the disk was read. At once: ten
processes started together, each from the start of the first to its own end. The bucket is a socket
that takes connections and never answers.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

import recall_uploader
import recall_wire

BUDGET_MS = 150.0
AT_ONCE = 10
UPLOAD_TIMEOUT_S = 2
ENDS_WITHIN_S = 60.0
SAID = b'{"session_id": "s", "transcript_path": "/t", "cwd": "/", "reason": "other"}'
_LEFT_OUT = ("site-packages", "test", "tests", "idlelib", "tkinter", "ensurepip", "config-*")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--warm", type=int, default=30, help="runs of each")
    parser.add_argument("--cold", type=int, default=10, help="runs of each")
    parser.add_argument("--bursts", type=int, default=3, help="of ten hooks at once")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="recall-bench-") as scratch,
        socket.create_server(("127.0.0.1", 0), backlog=256) as silent,
    ):
        copy = Copy.made(Path(scratch), silent.getsockname()[1])
        print(json.dumps(report(copy, arguments.warm, arguments.cold, arguments.bursts), indent=2))


def report(copy: Copy, warm: int, cold: int, bursts: int) -> dict[str, object]:
    found = {
        "warm": compared(copy, warm, lambda: None),
        "cold": compared(copy, cold, copy.forget),
        "at_once": {
            "python_pass": spread(bursts_of(copy, [copy.python, "-c", "pass"], bursts)),
            "hook": spread(bursts_of(copy, copy.hook, bursts)),
        },
    }
    workers = copy.most_workers
    alone = (found["warm"]["hook"]["p99_ms"], found["cold"]["hook"]["p99_ms"])
    return found | {
        "budget_ms": BUDGET_MS,
        "most_workers_at_a_time": workers,
        "within_budget": max(alone) <= BUDGET_MS and workers == 1,
    }


def compared(copy: Copy, runs: int, before: Callable[[], None]) -> dict[str, dict[str, float]]:
    """Turn by turn, so that both meet the same machine."""
    bare: list[Run] = []
    hook: list[Run] = []
    for _ in range(runs):
        before()
        bare.append(run([copy.python, "-c", "pass"], copy.environment))
        before()
        hook.append(run(copy.hook, copy.environment))
        copy.count_workers()
        copy.wait_for_worker()
    found = {"python_pass": summary(bare), "hook": summary(hook)}
    ratio = found["hook"]["p50_ms"] / found["python_pass"]["p50_ms"]
    return found | {"hook_over_python_pass": {"p50": round(ratio, 2)}}


def bursts_of(copy: Copy, command: Sequence[str | Path], bursts: int) -> list[float]:
    return [wall for _ in range(bursts) for wall in burst(copy, command)]


def burst(copy: Copy, command: Sequence[str | Path]) -> list[float]:
    started = time.perf_counter()
    running = [start(command, copy.environment) for _ in range(AT_ONCE)]
    walls = {}
    while len(walls) < AT_ONCE:
        pid, status = os.waitpid(-1, 0)
        walls[pid] = (time.perf_counter() - started) * 1000
        assert status == 0
    for process in running:
        process.returncode = 0
    copy.count_workers()
    copy.wait_for_worker()
    return list(walls.values())


@dataclass(frozen=True, slots=True)
class Run:
    wall_ms: float
    blocks_read: int


def run(command: Sequence[str | Path], environment: dict[str, str]) -> Run:
    started = time.perf_counter()
    process = start(command, environment)
    _, status, usage = os.wait4(process.pid, 0)
    wall_ms = (time.perf_counter() - started) * 1000
    process.returncode = status
    assert status == 0, command
    return Run(wall_ms, usage.ru_inblock)


def start(command: Sequence[str | Path], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """With what the agent says on its standard input already, and its end."""
    ours, theirs = os.pipe()
    os.write(theirs, SAID)
    os.close(theirs)
    try:
        return subprocess.Popen(command, stdin=ours, env=environment)
    finally:
        os.close(ours)


class Copy:
    """An interpreter nobody else runs, with our packages, and a session's surroundings."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.python = folder / "python/bin/python3"
        self.hook = [self.python, folder / "python/bin/recall", "hook", "session-end"]
        self.environment = environment
        self.most_workers = 0
        self._lock = folder / "state/hook/worker.lock"

    @classmethod
    def made(cls, folder: Path, port: int) -> Copy:
        copy_interpreter(folder / "python")
        (folder / "notes.jsonl").write_text('{"memory_id": "m", "text": "a note"}\n')
        environment = {
            "HOME": str(folder),
            "PATH": os.environ["PATH"],
            "LD_LIBRARY_PATH": str(folder / "python/lib"),
            "RECALL_STATE_DIR": str(folder / "state"),
            "RECALL_SOURCE": str(folder / "notes.jsonl"),
            "RECALL_BUCKET_URL": "s3://memories",
            "RECALL_S3_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "RECALL_S3_REGION": "us-east-1",
            "RECALL_S3_ACCESS_KEY_ID": "key",
            "RECALL_S3_SECRET_ACCESS_KEY": "secret",
            "RECALL_UPLOAD_TIMEOUT_S": str(UPLOAD_TIMEOUT_S),
        }
        made = cls(folder, environment)
        run(made.hook, environment)  # the byte code is written, as an installation does
        made.wait_for_worker()
        return made

    def forget(self) -> None:
        for path in self.folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                descriptor = os.open(path, os.O_RDONLY)
                os.fdatasync(descriptor)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(descriptor)

    def count_workers(self) -> None:
        """The worker is known by its command line, once it has become the interpreter's."""
        module, folder = "recall_uploader.hook.worker", str(self._lock.parent)
        found = [
            process
            for process in psutil.process_iter(["cmdline"])
            if {module, folder} <= set(process.info["cmdline"] or [])
        ]
        self.most_workers = max(self.most_workers, len(found))

    def wait_for_worker(self) -> None:
        """It always ends, and then it is gone. Raises `TimeoutError`."""
        until = time.monotonic() + ENDS_WITHIN_S
        with self._lock.open("w") as lock:
            while time.monotonic() < until:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return
                except BlockingIOError:
                    time.sleep(0.02)
        raise TimeoutError("the worker did not end")


def copy_interpreter(target: Path) -> None:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    library = target / "lib" / version
    shutil.copytree(
        sysconfig.get_path("stdlib"), library, ignore=shutil.ignore_patterns(*_LEFT_OUT)
    )
    (target / "bin").mkdir()
    shutil.copy(Path(sys.executable).resolve(), target / "bin" / "python3")
    for shared in Path(sys.base_prefix, "lib").glob("libpython*.so*"):
        shutil.copy(shared, target / "lib" / shared.name)
    packages = library / "site-packages"
    for package in (recall_uploader, recall_wire):
        folder = Path(package.__path__[0])
        shutil.copytree(folder, packages / folder.name)
    (packages / "others.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    script = Path(sys.executable).with_name("recall").read_text().partition("\n")[2]
    (target / "bin/recall").write_text(f"#!{target}/bin/python3\n{script}")


def summary(runs: Sequence[Run]) -> dict[str, float]:
    return spread([one.wall_ms for one in runs]) | {
        "blocks_read": statistics.median(one.blocks_read for one in runs)
    }


def spread(walls_ms: Sequence[float]) -> dict[str, float]:
    """The 99th percentile is the largest value below a hundred runs."""
    ordered = sorted(walls_ms)
    return {
        "runs": len(ordered),
        "p50_ms": round(statistics.median(ordered), 1),
        "p99_ms": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 1),
    }


if __name__ == "__main__":
    main()
