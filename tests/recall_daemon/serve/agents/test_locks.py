"""Locks over HTTP, and that nothing changes a locked memory without its fence."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx

from recall_daemon.serve.gate import Terms
from recall_daemon.serve.guard import Guard

Json = dict[str, Any]
# How each route that changes a memory is asked: (method, path, body), of the memory's id.
Change = Callable[[Json], tuple[str, str, Json | None]]
CHANGES: dict[str, Change] = {
    "PATCH /v1/agent/memories/{memory_id}": lambda at: (
        *("PATCH", f"agent/memories/{at['memory_id']}", {"content": "the ebb"}),
    ),
    "DELETE /v1/agent/memories/{memory_id}": lambda at: (
        *("DELETE", f"agent/memories/{at['memory_id']}", None),
    ),
    "POST /v1/agent/deletions/{deletion_id}/undo": lambda at: (
        *("POST", f"agent/deletions/{at['deletion_id']}/undo", {}),
    ),
    "POST /v1/agent/reinforce": lambda at: (
        *("POST", "agent/reinforce", {"memory_id": at["memory_id"]}),
    ),
    "POST /v1/agent/relationships": lambda at: (
        "POST",
        "agent/relationships",
        {"from_id": at["memory_id"], "to_id": at["other"], "type": "about"},
    ),
    "DELETE /v1/agent/relationships/{relationship_id}": lambda at: (
        *("DELETE", f"agent/relationships/{at['relationship_id']}", None),
    ),
    "POST /v1/conflicts/{conflict_id}/resolve": lambda at: (
        *("POST", f"conflicts/{at['conflict_id']}/resolve", {"choose": "theirs"}),
    ),
    "POST /v1/conflicts/{conflict_id}/undo": lambda at: (
        *("POST", f"conflicts/{at['conflict_id']}/undo", {}),
    ),
}
# Those of a lock itself, whose fence is the proof that it is one's own.
OWN = {"POST /v1/locks/renew", "POST /v1/locks/release"}


async def memory_of(ann: Any, *, resolved: bool = False) -> Json:
    """A memory that is related to another, with a conflict that is open, or was resolved."""
    memory_id, other = await ann.add("the tide"), await ann.add("the moon")
    pair = {"from_id": memory_id, "to_id": other, "type": "of"}
    related = await ann.post("agent/relationships", pair)
    base = (await ann.get(f"agent/memories/{memory_id}"))["memory"]["version"]
    for word in ("low", "high"):
        body = {"content": f"{word} tide", "base_version": base, "strategy": "manual_review"}
        told = (await ann.ask("PATCH", f"agent/memories/{memory_id}", json=body)).json()
    if resolved:
        await ann.post(f"conflicts/{told['conflict_id']}/resolve", {"choose": "ours"})
    return {"memory_id": memory_id, "other": other, "conflict_id": told["conflict_id"], **related}


async def asked(agent: Any, change: tuple[str, str, Json | None], fence: int | None) -> Any:
    method, path, body = change
    if body is None:
        return await agent.ask(method, path, params={} if fence is None else {"fence": fence})
    return await agent.ask(
        method, path, json={**body, **({} if fence is None else {"fence": fence})}
    )


async def test_the_fence_is_checked_on_every_mutation(fleet: Any) -> None:
    ann, bob = fleet(user="u", session="ann"), fleet(user="u", session="bob")
    for route, change_of in CHANGES.items():
        at = await memory_of(ann, resolved=route.endswith("undo"))
        wanted = {"memory_id": at["memory_id"], "lease_s": 10}
        stale = (await ann.post("locks", wanted))["lock"]["fence"]
        fleet.hub.clock[0] += timedelta(seconds=10)
        fence = (await bob.post("locks", wanted))["lock"]["fence"]
        if "deletion_id" in route:
            at |= await bob.delete(f"agent/memories/{at['memory_id']}", fence=fence)
        change = change_of(at)
        for agent, sent, code in (
            (ann, None, (423, "memory_locked")),
            (bob, None, (422, "agent_invalid")),
            (ann, stale, (409, "stale_fence")),
            (bob, fence + 1, (409, "lock_not_held")),
        ):
            answer = await asked(agent, change, sent)
            assert (answer.status_code, answer.json()["code"]) == code, (route, answer.text)
        done = await asked(bob, change, fence)
        assert done.status_code == 200, (route, done.text)


async def test_every_route_that_takes_a_fence_is_tried(fleet: Any) -> None:
    document = fleet.hub.app().openapi()
    taking = set()
    for path, methods in document["paths"].items():
        for method, said in methods.items():
            bodies = _written_out(document, said.get("requestBody", {}))
            named = {each["name"] for each in said.get("parameters", ())}
            if "fence" in named or '"fence"' in bodies:
                taking.add(f"{method.upper()} {path}")
    assert taking == CHANGES.keys() | OWN


def _written_out(document: Json, body: Json) -> str:
    said = json.dumps(body)
    for name, shape in document.get("components", {}).get("schemas", {}).items():
        if f"#/components/schemas/{name}" in said:
            said += json.dumps(shape)
    return said


async def test_a_plain_post_replaces_no_locked_memory(fleet: Any) -> None:
    ann = fleet(user="u", session="ann")
    body = {"system": "agents", "memory_id": "m", "text": "the tide"}
    await ann.post("memories", body)
    fence = (await ann.post("locks", {"memory_id": "agents/m"}))["lock"]["fence"]
    batch = {"system": "agents", "memories": [{"memory_id": name, "text": "x"} for name in "lm"]}
    for path, posted in (("memories", body), ("memories/batch", batch)):
        assert await ann.refused("POST", path, json=posted) == (423, "memory_locked")
    await ann.post("memories", {**body, "memory_id": "l"})
    await ann.post("locks/release", {"memory_id": "m", "fence": fence})
    await ann.post("memories/batch", batch)


async def test_a_lock_is_had_renewed_listed_and_released(fleet: Any) -> None:
    ann, bob = fleet(user="u", session="ann"), fleet(user="u", session="bob")
    name = {"memory_id": await ann.add("the tide")}
    lock = (await ann.post("locks", name))["lock"]
    assert (lock["system_id"], lock["memory_id"]) == ("agents", name["memory_id"])
    assert lock["expires_at"] == (fleet.hub.clock[0] + timedelta(seconds=300)).isoformat()
    own = {**name, "fence": lock["fence"]}
    assert await bob.refused("POST", "locks", json={**name, "wait_s": 0}) == (423, "memory_locked")
    assert await bob.refused("POST", "locks/release", json=own) == (409, "lock_not_held")
    fleet.hub.clock[0] += timedelta(seconds=200)
    renewed = (await ann.post("locks/renew", {**own, "lease_s": 3_600}))["lock"]
    assert renewed["expires_at"] == (fleet.hub.clock[0] + timedelta(seconds=3_600)).isoformat()

    waiting = asyncio.create_task(bob.post("locks", name))
    while not (listed := await ann.get("locks"))["waiting"]:
        await asyncio.sleep(0.001)
    assert [held["fence"] for held in listed["locks"]] == [lock["fence"]]
    assert (await ann.post("locks/release", own))["lock"]["depth"] == 0
    assert (await waiting)["lock"]["fence"] > lock["fence"]
    forced = {**name, "reason": "its machine is gone"}
    assert (await ann.post("locks/force-release", forced))["released"]["reason"] == forced["reason"]
    assert await ann.get("locks") == {"locks": [], "waiting": []}


async def test_a_retry_with_its_key_locks_once(fleet: Any) -> None:
    ann, bob = fleet(user="u", session="ann"), fleet(user="u", session="bob")
    name = {"memory_id": await ann.add("the tide")}
    first = await ann.post("locks", name, key="k")
    assert await ann.post("locks", name, key="k") == first
    refused = await bob.refused("POST", "locks", json=name, headers={"idempotency-key": "k"})
    assert refused == (422, "key_reused")


NO_LOCKS: tuple[Json, ...] = (
    {},
    {"memory_id": ""},
    {"memory_id": "m", "lease_s": 0},
    {"memory_id": "m", "lease_s": 3_601},
    {"memory_id": "m", "lease_s": "60"},
    {"memory_id": "m", "lease_s": True},
    {"memory_id": "m", "wait_s": -1},
    {"memory_id": "m", "wait_s": 301},
    {"memory_id": "m", "holder": "me"},
)


async def test_a_request_for_a_lock_that_cannot_be_is_refused(fleet: Any) -> None:
    for body in NO_LOCKS:
        assert await fleet().refused("POST", "locks", json=body) == (422, "request_invalid"), body


async def test_a_client_that_disconnects_while_it_waits_leaves_the_line(fleet: Any) -> None:
    ann, cid = fleet(user="u", session="ann"), fleet(user="u", session="cid")
    name = {"memory_id": await ann.add("the tide")}
    fence = (await ann.post("locks", name))["lock"]["fence"]
    hung_up = asyncio.Event()
    app = Guard(fleet.hub.app(Terms(loopback_alone=True)), port=8682, allowances=())
    gone = asyncio.create_task(_ask(app, json.dumps(name).encode(), hung_up.wait))
    while not (await ann.get("locks"))["waiting"]:
        await asyncio.sleep(0.001)
    waiting = asyncio.create_task(cid.post("locks", name))
    while len((await ann.get("locks"))["waiting"]) < 2:
        await asyncio.sleep(0.001)
    hung_up.set()
    await gone
    while len((await ann.get("locks"))["waiting"]) > 1:
        await asyncio.sleep(0.001)
    await ann.post("locks/release", {**name, "fence": fence})
    assert (await waiting)["lock"]["fence"] > fence


async def _ask(app: Any, body: bytes, hung_up: Callable[[], Awaitable[Any]]) -> None:
    """`POST /v1/locks` by a client of its own, which hangs up."""

    async def messages() -> AsyncIterator[Json]:
        yield {"type": "http.request", "body": body, "more_body": False}
        await hung_up()
        while True:
            yield {"type": "http.disconnect"}

    coming = messages()

    async def send(_: Any) -> None:
        """Nobody is there to read it."""

    headers = {"host": "127.0.0.1:8682", "content-type": "application/json"}
    headers |= {"content-length": str(len(body)), "x-recall-user": "u", "x-recall-session": "bob"}
    url = httpx.URL("/v1/locks")
    await app(
        {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": url.path,
            "raw_path": url.raw_path,
            "query_string": b"",
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8682),
        },
        coming.__anext__,
        send,
    )
