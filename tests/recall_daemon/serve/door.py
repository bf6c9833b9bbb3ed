"""A hub behind guard and gate with two systems of two projects, and a token of each role."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from recall_daemon.access.tokens import Asked, Tokens
from recall_daemon.serve.guard import App
from recall_daemon.store.store import Store
from recall_wire.records import Record

sys.path.insert(0, str(Path(__file__).parent))  # access_table
from access_table import OWN, Ask

Json = dict[str, Any]
START = datetime(2026, 1, 1, tzinfo=UTC)
SAME = "the tide tables were copied into both machines"
# What is of a system or a project alone, and must not be in any answer to who may not see it.
UNSEEN = {
    "instance": ("zebra", "zanzibar"),
    "reader": ("zebra", "zanzibar"),
    "project": ("-blue-", "periwinkle", "-gone-", "cobalt"),
    "admin": (),
}
ROWS_SEEN = {"instance": 12, "reader": 12, "project": 10, "admin": 24}


def records(system: str, mark: str) -> list[Record]:
    """A session whose turns are of two projects by turns, a text that both systems have, and some
    to be forgotten."""
    turns = [
        Record(
            f"{system}-{project}-{number}",
            text=f"the tide of {word} number {number} {mark}",
            project=project,
            session_id="session",
            created_at=START + timedelta(minutes=2 * number + (project == "blue")),
        )
        for number in range(4)
        for project, word in (("red", "crimson"), ("blue", "periwinkle"))
    ]
    same = Record(f"{system}-red-same", text=SAME, project="red", created_at=START)
    gone = [
        Record(f"{system}-gone-{role}", text=f"cobalt {mark} {role}", project="blue")
        for role in ("instance", "admin", "forget")
    ]
    return [*turns, same, *gone]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    def without(self, *names: str) -> str:
        """The body without the request's id, and each of the names as `*`."""
        text = re.sub(r'"request_id": "[^"]*"', "", self.text)
        for name in names:
            text = text.replace(name, "*")
        return text


@dataclass(frozen=True)
class Door:
    """A hub behind guard and gate, and a token of each role."""

    app: App
    tokens: dict[str, str]
    store: Store

    async def ask(self, method: str, ask: Ask, role: str, **headers: str) -> Answer:
        """One request; of a stream what comes first."""
        path, _, query = ask.path.partition("?")
        told = {"host": "127.0.0.1:8682", **dict(ask.headers), **headers}
        if ask.content:
            told |= {"content-type": ask.content_type, "content-length": str(len(ask.content))}
        if role in self.tokens:
            told.setdefault("authorization", f"Bearer {self.tokens[role]}")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in told.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8682),
        }
        return await _run(self.app, scope, ask.content)


async def _run(app: App, scope: Json, content: bytes) -> Answer:
    sent: list[Any] = []
    enough = asyncio.Event()
    asked = False

    async def receive() -> Json:
        nonlocal asked
        if asked:
            await asyncio.Event().wait()
        asked = True
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)
        bodies = sum(1 for each in sent if each["type"] == "http.response.body")
        if bodies and (not message.get("more_body") or bodies >= 2):
            enough.set()

    running = asyncio.create_task(app(scope, receive, send))  # type: ignore[arg-type]
    waiting = asyncio.create_task(enough.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    for task in (running, waiting):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    body = b"".join(each.get("body", b"") for each in sent[1:])
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], headers, body.decode())


def make_tokens(tokens: Tokens, clock: list[datetime]) -> dict[str, str]:
    asked = {
        "expired": Asked("admin", life=timedelta(seconds=1)),
        "revoked": Asked("admin"),
        "instance": Asked("instance", system_id=OWN),
        "reader": Asked("reader", systems=(OWN,)),
        "project": Asked("reader", projects=("red",)),
        "admin": Asked("admin"),
    }
    made = {role: tokens.create(each, actor="test") for role, each in asked.items()}
    clock[0] += timedelta(seconds=2)
    tokens.revoke(made["revoked"][0].token_id, actor="test")
    return {role: token for role, (_, token) in made.items()}


@contextmanager
def asked_of(store: Store) -> Iterator[list[str]]:
    """The statements of every reader of the store meanwhile."""
    statements: list[str] = []
    enter = store._enter

    class Recorded:
        def __init__(self, cursor: Any) -> None:
            self._cursor = cursor

        def execute(self, sql: str, *values: Any) -> Any:
            statements.append(sql)
            return self._cursor.execute(sql, *values)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._cursor, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "_enter", lambda **options: Recorded(enter(**options)))
        yield statements
    store._close_idle()
