"""`recalld run` as a process: started, asked through its port, killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import httpx

from processes import memory

_LOOK_S = 0.01
# What a hub does hourly or daily, and with a store that it has just got soon after its start.
_LONG_JOBS = ("age", "backup", "consolidation", "history", "promotion", "retention")


def settle(folder: Path, environment: Mapping[str, str], limit_s: float) -> None:
    """Have a hub do what is due, so that none of it falls into what is measured: a start puts off
    what has run before. Raises `RuntimeError` past the limit."""
    daemon = DaemonProcess(folder, environment)
    try:
        daemon.until_ready(limit_s)
        daemon.run_jobs(_LONG_JOBS, limit_s)
    finally:
        daemon.stop()


class DaemonProcess:
    """A running hub on a data folder. Its log goes to `recalld.log` beside that folder.

    Raises `RuntimeError` with the end of the log where it does not come up.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._log_path = folder.with_name("recalld.log")
        command = [str(Path(sys.executable).with_name("recalld")), "run"]
        settings = {"RECALLD_DATA_DIR": str(folder), "RECALLD_HTTP_PORT": "0", **environment}
        self.started_s = time.perf_counter()
        with self._log_path.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                env={**os.environ, **settings},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"recalld did not start: {self._log()}")
        threading.Thread(target=_drain, args=(self._process.stdout,), daemon=True).start()
        self.url = line.split()[-1]
        self._http = httpx.Client(base_url=self.url, timeout=60)

    def until_ready(self, limit_s: float) -> float:
        """Seconds from the start of the process until `/readyz` says ready."""
        return self.until(lambda: self._http.get("/readyz").status_code == 200, limit_s)

    def until(self, done: Callable[[], object], limit_s: float) -> float:
        """Seconds from the start until `done` says so. Raises `RuntimeError` past the limit."""
        while not done():
            if self._process.poll() is not None:
                raise RuntimeError(f"recalld ended: {self._log()}")
            if time.perf_counter() - self.started_s > limit_s:
                raise RuntimeError(f"not within {limit_s:g} s: {self._log()}")
            time.sleep(_LOOK_S)
        return time.perf_counter() - self.started_s

    def search(self, query: str) -> dict[str, Any]:
        answer = self._http.post("/v1/search", json={"query": query})
        answer.raise_for_status()
        return dict(answer.json())

    def until_embedded(self, look_s: float = 1.0) -> None:
        """Until no text waits to be embedded. Asked rarely: it takes what embedding needs."""
        while self._http.get("/v1/status").json()["backlog"]:
            time.sleep(look_s)

    def until_still(self, look_s: float = 1.0) -> None:
        """Until nothing waits to be embedded, and no row has come in for three looks."""
        looks: list[object] = []
        while len(set(looks[-3:])) != 1 or len(looks) < 3:
            time.sleep(look_s)
            self.until_embedded(look_s)
            looks.append(self._http.get("/v1/status").json()["rows"])

    def run_jobs(self, kinds: Sequence[str], limit_s: float) -> None:
        """Have each run once, now. Raises `RuntimeError` past the limit."""
        for kind in kinds:
            self._http.post(f"/v1/jobs/{kind}/run").raise_for_status()
        self.until(lambda: not self._running() & set(kinds), limit_s)

    def _running(self) -> set[str]:
        jobs = self._http.get("/v1/jobs").json()["jobs"]
        return {str(job["kind"]) for job in jobs if job["state"] == "running"}

    def store(self, system_id: str, memory_id: str, text: str) -> None:
        """Post a memory; returns when it is acknowledged."""
        body = {"system": system_id, "memory_id": memory_id, "text": text}
        self._http.post("/v1/memories", json=body).raise_for_status()

    def holds(self, system_id: str, memory_id: str) -> bool:
        return self._http.get(f"/v1/memories/{system_id}/{memory_id}").status_code == 200

    def resident(self) -> dict[str, int]:
        """Resident memory in bytes, and how much of it is mapped files."""
        pid = self._process.pid
        return {
            "rss_bytes": memory(pid, "VmRSS"),
            "rss_of_mapped_files_bytes": memory(pid, "RssFile"),
            "peak_rss_bytes": memory(pid, "VmHWM"),
        }

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()
        self._http.close()

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._http.close()

    def _log(self) -> str:
        return self._log_path.read_text(errors="replace")[-2_000:]


def _drain(stream: IO[str]) -> None:
    for _ in stream:
        pass
