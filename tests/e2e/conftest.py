"""Both programs as a person runs them: installed commands, environment variables, files."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import duckdb
import forked
import httpx
import pyarrow as pa
import pytest

BIN = Path(sys.executable).parent


@dataclass
class Fleet:
    """A folder with a bucket, a hub and any number of instances.

    `installed`: every command is started as a person would, not forked, which is much cheaper.
    """

    folder: Path
    bucket_url: str = ""
    extra: dict[str, str] = field(default_factory=dict)
    installed: bool = False

    def __post_init__(self) -> None:
        if not self.bucket_url:
            (self.folder / "bucket").mkdir(parents=True)
            self.bucket_url = f"file://{self.folder / 'bucket'}"

    def environment(self, system_id: str = "", hub: str = "hub") -> dict[str, str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("RECALL", "AWS_"))}
        for program in ("RECALL", "RECALLD"):
            clean[f"{program}_BUCKET_URL"] = self.bucket_url
            clean |= {f"{program}_{name}": value for name, value in self.extra.items()}
        clean["RECALLD_DATA_DIR"] = str(self.folder / hub)
        clean.setdefault("RECALLD_EMBEDDER", "hash")
        clean["RECALLD_HTTP_PORT"] = "0"
        clean["HOME"] = str(self.folder / "home")
        if system_id:
            clean["RECALL_SYSTEM_ID"] = system_id
            clean["RECALL_STATE_DIR"] = str(self.folder / "state" / system_id)
        return clean

    def start(
        self, *command: str, system_id: str = "", hub: str = "hub", talking: bool = False
    ) -> Any:
        """A process that can be killed; its output is there at its end, or while it runs."""
        start = forked.start_talking if talking else forked.start
        return start([BIN / command[0], *command[1:]], self.environment(system_id, hub))

    def launch(self, *command: str, system_id: str = "", hub: str = "hub") -> subprocess.Popen[str]:
        """The installed command itself, as a person or a supervisor starts it, with pipes."""
        return subprocess.Popen(
            [BIN / command[0], *command[1:]],
            env=self.environment(system_id, hub),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(
        self, *command: str, system_id: str = "", hub: str = "hub", code: int = 0
    ) -> subprocess.CompletedProcess[str]:
        start = self.launch if self.installed else self.start
        process = start(*command, system_id=system_id, hub=hub)
        out, err = process.communicate(timeout=120)
        assert process.returncode == code, f"{command} → {process.returncode}: {out}{err}"
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def timed(self, *command: str, **options: Any) -> float:
        """Run a command to its end; how long it took, in seconds."""
        began = time.monotonic()
        self.run(*command, **options)
        return time.monotonic() - began

    def json(self, *command: str, **options: Any) -> Any:
        return json.loads(self.run(*command, "--json", **options).stdout)

    def upload(self, system_id: str, source: Path, *options: str) -> Any:
        return self.json("recall", "upload", str(source), *options, system_id=system_id)


@dataclass
class RunningHub:
    """`recalld run`, which can be killed and started again over its folder."""

    fleet: Fleet
    url: str = ""
    _process: Any = None

    def start(self) -> None:
        self._process = self.fleet.start("recalld", "run", talking=True)
        ready, _, _ = select.select([self._process.stdout], [], [], 60)
        assert ready
        line = self._process.stdout.readline()
        assert line, f"it ended before it was ready, with {self._process.wait(10)}"
        assert line.startswith("recalld answers at "), (line, self._process.stdout.readline())
        self.url = line.split()[-1]
        self.wait_until(lambda: httpx.get(f"{self.url}/readyz").status_code == 200)

    def kill(self) -> None:
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.communicate()
            self._process = None

    def wait_until(self, reached: Callable[[], bool]) -> None:
        """Look again after each answer of the hub, which takes its time."""
        for _ in range(3_000):
            if reached():
                return
            httpx.get(f"{self.url}/healthz").raise_for_status()
        raise AssertionError("never reached")

    def restart(self) -> None:
        self.kill()
        self.start()


@pytest.fixture
def hub(fleet: Fleet) -> Iterator[RunningHub]:
    running = RunningHub(fleet)
    running.start()
    yield running
    running.kill()


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path)


def write_source(
    path: Path,
    rows: dict[str, str | None],
    *,
    version: str = "",
    metadata: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """A database with Session-Buddy's newer tables; half of the rows are reflections.

    `metadata`: that of some of the rows, which must be conversations.
    """
    path.unlink(missing_ok=True)
    config = {"storage_compatibility_version": version} if version else {}
    start = datetime(2026, 3, 4, 5, 6, 7)
    with duckdb.connect(str(path), config=config) as connection:
        connection.execute(
            "CREATE TABLE conversations_v2 (id VARCHAR PRIMARY KEY, content VARCHAR, "
            "embedding FLOAT[384], category VARCHAR, importance_score FLOAT, access_count INTEGER, "
            "project VARCHAR, namespace VARCHAR, timestamp TIMESTAMP, session_id VARCHAR, "
            "metadata VARCHAR)"
        )
        connection.execute(
            "CREATE TABLE reflections_v2 (id VARCHAR PRIMARY KEY, content VARCHAR, tags VARCHAR[], "
            "project VARCHAR, timestamp TIMESTAMP, insight_type VARCHAR)"
        )
        # As one Arrow table: row by row DuckDB takes 3 ms each.
        table = pa.table(
            {
                "number": range(len(rows)),
                "id": pa.array(rows, pa.string()),
                "text": pa.array(rows.values(), pa.string()),
                "metadata": [metadata.get(name, '{"k": 1}') for name in rows],
                "said_at": [start + timedelta(seconds=number) for number in range(len(rows))],
            }
        )
        connection.register("given", table)
        connection.execute(
            "INSERT INTO reflections_v2 SELECT id, text, ['t'], 'p', said_at, NULL FROM given "
            "WHERE number % 2 = 1 ORDER BY number"
        )
        connection.execute(
            "INSERT INTO conversations_v2 SELECT id, text, NULL, 'c', 0.5, 0, 'p', 'default', "
            "said_at, 's', metadata FROM given WHERE number % 2 = 0 ORDER BY number"
        )


@pytest.fixture(scope="session")
def write_db() -> Any:
    return write_source
