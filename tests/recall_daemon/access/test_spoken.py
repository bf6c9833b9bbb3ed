"""Tokens that speak for one agent or user: what they see, count, write and may not do."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from recall_daemon.access.tokens import Asked, Tokens, replay
from recall_daemon.errors import TokenInvalid
from recall_daemon.memory.whose import Whose
from recall_daemon.serve.gate import Terms
from recall_daemon.serve.guard import Guard
from recall_wire.records import Record

SYSTEM = "agents"
ANALYST = {"agent_id": "analyst", "user_id": "ann"}


@dataclass(frozen=True)
class Port:
    hub: Any
    app: FastAPI
    http: httpx.AsyncClient

    def token(self, role: Any = "instance", **asked: Any) -> dict[str, str]:
        """The headers of whoever has it."""
        system = SYSTEM if role == "instance" else None
        made = self.hub.hub.core.tokens.create(Asked(role, system_id=system, **asked), actor="test")
        return {"authorization": f"Bearer {made[1]}"}

    async def ids(self, headers: dict[str, str]) -> list[set[str]]:
        """What each of the plain reads shows."""
        listed = await self.http.get("/v1/memories", headers=headers)
        asked = {"query": "tide", "limit": 50, "fold": False}
        found = await self.http.post("/v1/search", headers=headers, json=asked)
        tool = {"name": "search_memories", "arguments": {"query": "tide", "limit": 50}}
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": tool}
        accept = {"accept": "application/json, text/event-stream"}
        called = await self.http.post("/mcp", headers=headers | accept, json=call)
        hits = called.json()["result"]["structuredContent"]["hits"]
        shown = (listed.json()["memories"], found.json()["hits"], hits)
        return [{one["memory_id"] for one in part} for part in shown]


@pytest.fixture
async def port(open_test_hub: Any) -> AsyncIterator[Port]:
    async with open_test_hub(agents=[{"name": "analyst"}, {"name": "guard"}]) as hub:
        records = [
            Record("own", text="tide one", agent_id="analyst", user_id="ann"),
            Record("bobs", text="tide two", agent_id="analyst", user_id="bob"),
            Record("guards", text="tide three", agent_id="guard"),
            Record("all", text="tide four", agent_id="guard", tags=("category:system_knowledge",)),
            Record("nobodys", text="tide five"),
        ]
        hub.hub.posts.store(SYSTEM, records, actor="test")
        hub.hub.core.follow()
        app = hub.app(Terms(loopback_alone=True))
        transport = httpx.ASGITransport(Guard(app, port=8682), raise_app_exceptions=False)
        url = "http://127.0.0.1:8682"
        async with httpx.AsyncClient(transport=transport, base_url=url) as http:
            yield Port(hub, app, http)


async def test_a_token_of_an_agent_sees_by_the_rules_whatever_it_asks(port: Port) -> None:
    everything = {"own", "bobs", "guards", "all", "nobodys"}
    async with port.app.router.lifespan_context(port.app):
        for headers in (
            port.token(**ANALYST),
            port.token("reader", **ANALYST),
            port.token() | {"x-recall-agent": "analyst", "x-recall-user": "ann"},
            port.token(user_id="ann") | {"x-recall-agent": "analyst"},
        ):
            assert await port.ids(headers) == [{"own", "all"}] * 3
        assert await port.ids(port.token()) == [everything] * 3
        assert await port.ids(port.token(user_id="ann")) == [everything - {"bobs"}] * 3


async def test_one_memory_of_another_is_as_one_that_is_not_there(port: Port) -> None:
    headers = port.token(**ANALYST)
    for route in ("memories", "related"):
        told = [
            (await port.http.get(f"/v1/{route}/{SYSTEM}/{name}", headers=headers)).json()
            for name in ("guards", "bobs", "never")
        ]
        assert len({(one["status"], one["detail"]) for one in told}) == 1
        assert told[0]["status"] == 404
        mine = await port.http.get(f"/v1/{route}/{SYSTEM}/own", headers=headers)
        assert mine.status_code == 200


async def test_nothing_is_counted_that_it_may_not_see(port: Port) -> None:
    headers = port.token(**ANALYST)
    status = (await port.http.get("/v1/status", headers=headers)).json()
    assert (status["rows"], status["backlog"]) == (2, 2)
    snapshots = (await port.http.get("/v1/snapshots", headers=headers)).json()["snapshots"]
    assert {(one["rows"], one["bytes"]) for one in snapshots} == {(None, None)}
    assert (await port.http.get("/metrics", headers=headers)).status_code == 403
    me = (await port.http.get("/v1/me", headers=headers)).json()
    assert (me["agent"], me["user"]) == ("analyst", "ann")


async def test_a_header_that_names_another_is_refused(port: Port) -> None:
    bound, free = port.token(**ANALYST), port.token()
    for headers, status, code in (
        (bound | {"x-recall-agent": "guard"}, 403, "forbidden"),
        (bound | {"x-recall-user": "bob"}, 403, "forbidden"),
        (free | {"x-recall-agent": ""}, 422, "agent_invalid"),
        (free | {"x-recall-agent": " analyst\t"}, 422, "agent_invalid"),
        (free | {"x-recall-user": "a" * 201}, 422, "agent_invalid"),
    ):
        for method, path in (("GET", "/v1/memories"), ("POST", "/mcp"), ("GET", "/v1/shares")):
            answer = await port.http.request(method, path, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (status, code), (headers, path)
    twice = [*free.items(), ("x-recall-agent", "analyst"), ("x-recall-agent", "guard")]
    answer = await port.http.get("/v1/memories", headers=twice)
    assert answer.json()["code"] == "agent_invalid"


async def test_its_posts_are_its_own_and_replace_nothing_of_others(port: Port) -> None:
    headers = port.token(**ANALYST)

    async def post(**body: Any) -> tuple[int, str]:
        answer = await port.http.post("/v1/memories", headers=headers, json=body)
        return answer.status_code, answer.json().get("code", "")

    assert await post(memory_id="new", text="tide") == (200, "")
    found = (await port.http.get(f"/v1/memories/{SYSTEM}/new", headers=headers)).json()
    assert (found["agent_id"], found["user_id"]) == ("analyst", "ann")
    assert await post(memory_id="new", text="tide again", agent_id="analyst") == (200, "")
    assert await post(memory_id="x", text="tide", agent_id="guard") == (403, "forbidden")
    assert await post(memory_id="x", text="tide", user_id="bob") == (403, "forbidden")
    for taken in ("guards", "bobs", "nobodys"):
        assert await post(memory_id=taken, text="mine now") == (403, "forbidden")
    items = [{"memory_id": "y", "text": "tide"}, {"memory_id": "z", "text": "t", "user_id": "bob"}]
    batch = await port.http.post("/v1/memories/batch", headers=headers, json={"memories": items})
    assert (batch.json()["stored"], batch.json()["failed"]) == (1, 1)
    texts = port.hub.texts(SYSTEM)
    assert (texts["guards"], texts["bobs"]) == ("tide three", "tide two")


async def test_of_posts_at_the_same_time_no_two_own_one_id(port: Port) -> None:
    posts = port.hub.hub.posts
    for number in range(20):
        name = f"race-{number}"
        ran = [
            posts.begin(
                {SYSTEM: [Record(name, text=agent, agent_id=agent)]},
                actor="test",
                whose=Whose(agent, None),
            )
            for agent in ("analyst", "guard", "other")
        ]
        failed = [future.exception() for future in ran]
        assert [error is None for error in failed] == [True, False, False]
        assert port.hub.texts(SYSTEM)[name] == "analyst"


async def test_what_reaches_beyond_its_memories_is_refused(port: Port) -> None:
    headers = port.token(**ANALYST)
    for method, path, body in (
        ("DELETE", f"/v1/memories/{SYSTEM}/own", None),
        ("POST", "/v1/forget", {"ids": [f"{SYSTEM}/own"]}),
        ("POST", f"/v1/quarantine/{SYSTEM}/1/retry", None),
        ("POST", f"/v1/quarantine/{SYSTEM}/1/drop", None),
        ("GET", f"/v1/push/{SYSTEM}", None),
    ):
        answer = await port.http.request(method, path, headers=headers, json=body)
        assert answer.status_code == 403, (method, path, answer.text)


def test_what_a_token_speaks_for_is_checked_kept_and_restored(store: Any) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    tokens = Tokens(store, now=lambda: now)
    row, token = tokens.create(Asked("instance", system_id="a", **ANALYST), actor="local")
    caller = Tokens(store, now=lambda: now).caller(token)
    assert caller is not None
    assert (caller.agent_id, caller.user_id) == ("analyst", "ann")
    assert not caller.reach.is_everything
    for wrong in ({"agent_id": ""}, {"user_id": " x"}, {"agent_id": "a" * 201}):
        with pytest.raises(TokenInvalid):
            tokens.create(Asked("reader", **wrong), actor="local")
    with pytest.raises(TokenInvalid):
        tokens.create(Asked("admin", agent_id="analyst"), actor="local")
    with store.read() as connection:
        (body,) = connection.execute("SELECT body FROM journal WHERE kind = 'token'").fetchall()[0]
    store.write(lambda c: c.execute("DELETE FROM tokens"))
    store.write(lambda c: replay(c, json.loads(body), now))
    restored = Tokens(store, now=lambda: now).caller(token)
    assert restored == caller
    assert row.agent_id == "analyst"
    older = {k: v for k, v in json.loads(body).items() if k not in ("agent_id", "user_id")}
    store.write(lambda c: c.execute("DELETE FROM tokens"))
    store.write(lambda c: replay(c, older, now))
