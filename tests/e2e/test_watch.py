"""`recall watch` as a service runs it: it uploads at a change and stops when it is told to."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def watching(fleet: Any, tmp_path: Path) -> Any:
    def start(source: Path) -> subprocess.Popen[str]:
        fleet.extra["SOURCE"] = str(source)
        own = fleet.environment

        def environment(*names: str) -> dict[str, str]:
            hubs = {"RECALLD_SOURCE"}
            return {k: v for k, v in own(*names).items() if k not in hubs} | {
                "RECALL_WATCH_DEBOUNCE_S": "0.2",
                "RECALL_WATCH_SWEEP_S": "2",
            }

        fleet.environment = environment
        process: subprocess.Popen[str] = fleet.launch("recall", "watch", system_id="laptop")
        return process

    return start


def next_line(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    ready, _, _ = select.select([process.stderr], [], [], 60)
    assert ready, "it said nothing"
    return process.stderr.readline()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_uploads_at_a_change_and_stops_cleanly(
    how: signal.Signals, watching: Any, tmp_path: Path
) -> None:
    source = tmp_path / "notes"
    source.mkdir()
    (source / "a.md").write_text("the first note")
    process = watching(source)
    try:
        assert next_line(process) == "recall: committed up to snapshot 1: 1 rows\n"
        (source / "b.md").write_text("the second note")
        assert next_line(process) == "recall: committed up to snapshot 2: 1 rows\n"
        os.kill(process.pid, how)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (0, "", "")
    finally:
        process.kill()
        process.communicate()
