"""Tokens and the audit log from the command line, with and without a daemon."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # hubs

import hubs

from recall_daemon.commands import program
from recall_daemon.serve.local_token import FILE_NAME
from recall_daemon.settings import load_settings
from recall_wire.errors import SettingsInvalid


@pytest.fixture
def folder(tmp_path: Path, publisher: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in {
        "RECALLD_BUCKET_URL": f"file://{publisher.root}",
        "RECALLD_DATA_DIR": str(tmp_path / "hub"),
        "RECALLD_EMBEDDER": "hash",
        "RECALLD_HTTP_PORT": "0",
    }.items():
        monkeypatch.setenv(name, value)
    return tmp_path / "hub"


class Shell:
    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def run(self, *arguments: str) -> tuple[int, str, str]:
        self._capsys.readouterr()
        code = program._run(arguments)
        said = self._capsys.readouterr()
        return code, said.out, said.err

    def json(self, *arguments: str) -> Any:
        code, out, err = self.run(*arguments, "--json")
        assert code == 0, err
        return json.loads(out.splitlines()[-1])


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(capsys)


@asynccontextmanager
async def running() -> AsyncIterator[str]:
    """A daemon's address, while it answers there."""
    told: asyncio.Queue[str] = asyncio.Queue()
    task = asyncio.create_task(hubs.run(load_settings(), announce=told.put_nowait))
    first = asyncio.create_task(told.get())
    await asyncio.wait({task, first}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        first.cancel()
        await task  # raises what it ended with
    try:
        yield first.result()
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        await task


def test_an_id_is_listed_in_one_piece(
    folder: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a narrow terminal and in a pipe, too: it is what `token revoke` is given."""
    monkeypatch.setenv("COLUMNS", "80")
    long = ("--systems", "laptop-7,build-12", "--projects", "notebook-ml", "--expires-in", "90d")
    made = shell.json("token", "create", "--role", "reader", "--name", "of the laptop", *long)
    assert made["token_id"] in shell.run("token", "list")[1]


def test_tokens_without_a_daemon(folder: Path, shell: Shell) -> None:
    made = shell.json("token", "create", "--role", "instance", "--system", "laptop-7")
    assert made["token"].startswith(f"rct_{made['token_id']}_")
    asked = ("--systems", "a, b", "--projects", "p", "--name", "Grafana", "--expires-in", "90d")
    reader = shell.json("token", "create", "--role", "reader", *asked)
    assert (reader["systems"], reader["projects"], reader["name"]) == (["a", "b"], ["p"], "Grafana")
    assert reader["expires_at"] is not None
    assert shell.json("token", "revoke", made["token_id"])["state"] == "revoked"
    listed = shell.json("token", "list")["tokens"]
    assert [(row["role"], row["state"]) for row in listed] == [
        ("instance", "revoked"),
        ("reader", "active"),
    ]
    entries = shell.json("audit", "list")["entries"]
    assert [(entry["actor"], entry["action"]) for entry in entries] == [
        ("local", "token.revoked"),
        ("local", "token.created"),
        ("local", "token.created"),
    ]
    assert shell.json("audit", "verify") == {"ok": True, "problems": []}
    for command in (("token", "list"), ("audit", "list", "--limit", "2")):
        code, out, _ = shell.run(*command)
        assert code == 0
        assert "reader" in out or "token.revoked" in out
        assert made["token"] not in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("create", "--role", "instance"), "names the one system"),
        (("create", "--role", "reader", "--expires-in", "soon"), "no span of time"),
        (("create", "--role", "reader", "--expires-in", "0d"), "lives up to"),
        (("create", "--role", "reader", "--systems", ""), "system"),
        (("revoke", "000000000000"), "no token has the id"),
    ],
)
def test_what_cannot_be_made_is_one_sentence(
    folder: Path, shell: Shell, arguments: tuple[str, ...], says: str
) -> None:
    code, _, err = shell.run("token", *arguments)
    assert code == program.REFUSED
    assert says in err
    assert err.count("\n") == 1


async def test_the_first_token_closes_a_running_daemon_and_not_to_its_own_commands(
    folder: Path, shell: Shell
) -> None:
    async with running() as url, httpx.AsyncClient(base_url=url) as http:
        secret = folder / FILE_NAME
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
        assert (await http.get("/v1/status")).status_code == 200
        asked = ("token", "create", "--role", "reader")
        made = await asyncio.to_thread(shell.json, *asked)
        assert (await http.get("/v1/status")).status_code == 401
        assert list((await http.get("/readyz")).json()) == ["ready"]
        bearer = {"authorization": f"Bearer {made['token']}"}
        assert (await http.get("/v1/status", headers=bearer)).status_code == 200
        assert (await http.get("/v1/audit", headers=bearer)).status_code == 403
        assert (await asyncio.to_thread(shell.json, "status"))["rows"] == 0
        await asyncio.to_thread(shell.json, "token", "revoke", made["token_id"])
        listed = await asyncio.to_thread(shell.json, "token", "list")
        assert [row["state"] for row in listed["tokens"]] == ["revoked"]
        assert (await asyncio.to_thread(shell.json, "audit", "verify"))["ok"]
    assert not secret.exists()


async def test_a_daemon_that_others_reach_starts_with_a_token_alone(
    folder: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECALLD_HTTP_HOST", "0.0.0.0")
    with pytest.raises(SettingsInvalid, match="there is no token"):
        async with running():
            pass
    await asyncio.to_thread(shell.json, "token", "create", "--role", "admin")
    async with running() as url, httpx.AsyncClient(base_url=url) as http:
        assert (await http.get("/v1/status")).status_code == 401
        assert (await asyncio.to_thread(shell.json, "status"))["rows"] == 0
