"""The command line of a hub of its own, with and without a daemon."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # hubs

import hubs

from recall_daemon.commands import program
from recall_daemon.settings import load_settings


@dataclass(frozen=True)
class Recalld:
    """Runs command lines; what the daemon logs meanwhile is left out."""

    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        self.capsys.readouterr()
        code = program._run(arguments)
        said = self.capsys.readouterr()
        lines = said.out.splitlines(keepends=True)
        return code, "".join(line for line in lines if "[info " not in line), said.err

    def json(self, *arguments: str) -> Any:
        code, out, err = self(*arguments, "--json")
        assert code == 0, err
        return json.loads(out.splitlines()[-1])

    def said(self, *arguments: str) -> str:
        """To a person."""
        code, out, err = self(*arguments)
        assert code == 0, err
        return out


@pytest.fixture
def recalld(
    tmp_path: Path,
    publisher: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Recalld:
    for name, value in {
        "RECALLD_BUCKET_URL": f"file://{publisher.root}",
        "RECALLD_DATA_DIR": str(tmp_path / "hub"),
        "RECALLD_EMBEDDER": "hash",
        "RECALLD_HTTP_PORT": "0",
        "RECALLD_AGENTS": json.dumps(
            [{"name": "guard", "specialities": ["security"]}, {"name": "helper"}]
        ),
        "COLUMNS": "200",
    }.items():
        monkeypatch.setenv(name, value)
    return Recalld(capsys)


@pytest.fixture
def running() -> Any:
    """A daemon, while it answers."""

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        told = asyncio.Event()
        task = asyncio.create_task(hubs.run(load_settings(), announce=lambda _: told.set()))
        first = asyncio.create_task(told.wait())
        await asyncio.wait({task, first}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            first.cancel()
            await task  # raises what it ended with
        try:
            yield
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            await task

    return running
