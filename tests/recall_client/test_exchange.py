"""What both clients do when the hub, the network or a proxy does not do what it should."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from recall_client import AsyncMemoryClient, MemoryClient
from recall_client.breaker import Breaker
from recall_client.retries import Retries

AWAY = httpx.ConnectError("connection refused")
CUT_OFF = httpx.RemoteProtocolError("server disconnected")


def problem(status: int, code: str = "memory_not_found", **members: Any) -> httpx.Response:
    said = {"status": status, "code": code, "detail": "no such memory", "request_id": "r-1"}
    return httpx.Response(status, json=said | members)


def test_a_success_says_what_the_hub_said(client: Any, hub: Any) -> None:
    hub.says = lambda _: httpx.Response(200, json={"memory": {"a": 1}, "status": "completed"})
    assert client.get_memory("m") == {"status": "success", "memory": {"a": 1}}


def test_a_refusal_is_an_error_with_its_code(client: Any, hub: Any) -> None:
    hub.says = lambda _: problem(404, hint="see the id")
    assert client.get_memory("m") == {
        "status": "error",
        "message": "no such memory; see the id",
        "code": "memory_not_found",
        "request_id": "r-1",
    }
    assert len(hub.asked) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 423, 429, 500, 503, 507])
def test_a_refusal_by_the_hub_is_no_failure(client: Any, hub: Any, status: int) -> None:
    hub.says = lambda _: problem(status, "refused")
    for _ in range(5):
        assert client.get_memory("m")["code"] == "refused"
    told = client.get_circuit_breaker_status()
    assert (told["state"], told["failure_count"], len(hub.asked)) == ("closed", 0, 5)


@pytest.mark.parametrize("failure", [AWAY, CUT_OFF, httpx.ReadTimeout("slow"), 502, 503, 504])
def test_a_write_that_gets_no_answer_is_sent_again_with_the_same_key(
    client: Any, hub: Any, failure: Any
) -> None:
    said = httpx.Response(failure, text="bad gateway") if isinstance(failure, int) else failure
    hub.next_ = [said, said, httpx.Response(200, json={"memory_id": "m"})]
    assert client.add_memory("text") == {"status": "success", "memory_id": "m"}
    assert len(set(hub.keys())) == 1
    assert hub.keys()[0]
    assert len({request.content for request in hub.asked}) == 1
    assert client.get_circuit_breaker_status()["failure_count"] == 0


def test_two_writes_have_two_keys_and_a_caller_may_name_its_own(client: Any, hub: Any) -> None:
    client.add_memory("text")
    client.add_memory("text")
    client.add_memory("text", idempotency_key="mine")
    first, second, third = hub.keys()
    assert first != second
    assert third == "mine"


def test_what_only_reads_has_no_key(client: Any, hub: Any) -> None:
    for ask in (client.get_memory, client.search_memory, client.semantic_search):
        ask("m")
    client.batch_get_memories(["m"])
    assert hub.keys() == [None] * 4


def test_tries_are_bounded_and_the_error_says_how_not_to_double(
    client: Any, hub: Any, waits: list[float]
) -> None:
    hub.next_ = [AWAY] * 4
    answer = client.add_memory("text")
    assert (answer["status"], answer["code"]) == ("error", "hub_unreachable")
    assert len(hub.asked) == 4
    assert waits == [0.2, 0.4, 0.8]
    assert "connection refused" in answer["message"]
    assert "idempotency_key" in answer["message"]
    assert answer["request_id"] == hub.keys()[0] == hub.last.headers["x-request-id"]
    client.add_memory("text", idempotency_key=answer["request_id"])
    assert set(hub.keys()) == {answer["request_id"]}


def test_the_breaker_opens_at_the_third_call_without_an_answer(
    client: Any, hub: Any, clock: Any
) -> None:
    def away(_: httpx.Request) -> httpx.Response:
        raise AWAY

    hub.says = away
    before = client.get_circuit_breaker_status()
    assert before == {
        "status": "success",
        "state": "closed",
        "failure_count": 0,
        "last_failure_time": None,
        "failure_threshold": 3,
        "reset_timeout": 60.0,
    }
    for _ in range(3):
        assert client.get_memory("m")["code"] == "hub_unreachable"
    asked = len(hub.asked)
    told = client.get_circuit_breaker_status()
    assert (told["state"], told["failure_count"]) == ("open", 3)
    assert told["last_failure_time"] == clock.now().isoformat()
    refused = client.get_memory("m")
    assert (refused["code"], len(hub.asked)) == ("circuit_open", asked)
    assert "60 s" in refused["message"]

    clock.seconds += 60
    assert client.get_circuit_breaker_status()["state"] == "half-open"
    client.get_memory("m")
    assert len(hub.asked) == asked + 1, "a probe is one request"
    assert client.get_circuit_breaker_status()["state"] == "open"

    clock.seconds += 60
    hub.says = lambda _: problem(404)
    assert client.get_memory("m")["code"] == "memory_not_found"
    assert client.get_circuit_breaker_status()["state"] == "closed"


def test_a_reset_breaker_lets_the_next_call_through(client: Any, hub: Any) -> None:
    hub.next_ = [AWAY] * 12
    for _ in range(3):
        client.get_memory("m")
    answer = client.reset_circuit_breaker()
    assert (answer["status"], answer["state"], answer["failure_count"]) == ("success", "closed", 0)
    assert client.get_memory("m")["status"] == "success"


@pytest.mark.parametrize(
    "said",
    [
        (200, {"text": "<html>hello</html>"}),
        (200, {"json": [1]}),
        (200, {"content": b"[" * 100_000}),
        (302, {"headers": {"location": "http://elsewhere/"}}),
        (404, {"json": {"detail": "Not Found"}}),
        (500, {"text": "oops"}),
        (599, {}),
    ],
)
def test_what_is_no_hub_is_said_to_be_none(client: Any, hub: Any, said: Any) -> None:
    status, answered = said
    hub.next_ = [httpx.Response(status, **answered)]
    answer = client.get_memory("m")
    assert (answer["status"], answer["code"]) == ("error", "not_a_hub")
    assert len(hub.asked) == 1
    assert answer["request_id"] == hub.last.headers["x-request-id"]


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.add_memory(5),
        lambda c: c.add_memory("t", importance="high"),
        lambda c: c.add_memory("t", importance=True),
        lambda c: c.add_memory("t", importance=float("nan")),
        lambda c: c.add_memory("t", metadata={"when": object()}),
        lambda c: c.add_memory("t", metadata={1: 2}),
        lambda c: c.add_memory("t", metadata=[1]),
        lambda c: c.add_memory("t", tags="one"),
        lambda c: c.add_memory("t", tags=[1]),
        lambda c: c.add_memory("t", idempotency_key="a b"),
        lambda c: c.add_memory("t", idempotency_key=7),
        lambda c: c.get_memory(None),
        lambda c: c.get_memory(""),
        lambda c: c.get_memory("\ud800"),
        lambda c: c.list_shares("\ud800"),
        lambda c: c.delete_memory("m", cascade="yes"),
        lambda c: c.batch_add_memories("m"),
        lambda c: c.batch_add_memories([{"content": 5}]),
        lambda c: c.batch_add_memories([{"contnet": "m"}]),
        lambda c: c.batch_add_memories(["m"]),
        lambda c: c.batch_get_memories("m"),
        lambda c: c.semantic_search("q", k="5"),
        lambda c: c.semantic_search("q", k=None),
        lambda c: c.semantic_search("q", filters=["a"]),
        lambda c: c.get_children("m", limit=1.5),
        lambda c: c.add_to_group("m", 3),
        lambda c: c.acquire_lock("m", wait_s=None),
        lambda c: c.get_agent_memory_slice(),
        lambda c: c.set_agent_id(5),
        lambda c: c.set_agent_id(" a"),
        lambda c: c.set_session_id("a\nb"),
        lambda c: c.set_user_id(""),
    ],
)
def test_an_argument_of_the_wrong_type_is_an_error_and_never_sent(
    client: Any, hub: Any, call: Callable[[Any], Any]
) -> None:
    answer = call(client)
    assert set(answer) == {"status", "message", "code", "request_id"}
    assert (answer["status"], answer["code"]) == ("error", "argument_invalid")
    assert hub.asked == []


def test_a_closed_client_says_so(open_client: Any, hub: Any) -> None:
    client = open_client()
    client.close()
    assert client.get_memory("m")["code"] == "client_closed"
    assert hub.asked == []


def test_the_token_is_sent_and_never_said(open_client: Any, hub: Any) -> None:
    client = open_client(token="secret-word")
    hub.next_ = [httpx.LocalProtocolError("Bearer secret-word")] * 4
    assert "secret" not in str(client.get_memory("m"))
    assert hub.last.headers["authorization"] == "Bearer secret-word"


@pytest.mark.parametrize("token", ["", "two words", "ü", "line\nend"])
def test_what_can_be_no_token_is_refused_without_saying_it(open_client: Any, token: str) -> None:
    with pytest.raises(ValueError, match=r"^token is not one word of printable ASCII$"):
        open_client(token=token)


@pytest.mark.parametrize(
    "url", ["", "hub:8682", "ftp://hub", "http://", "http://a:b@hub", "http://hub?x=1", None, 5]
)
def test_what_can_be_no_address_is_refused(open_client: Any, url: Any) -> None:
    with pytest.raises(ValueError, match="hub_url"):
        open_client(url)


@pytest.mark.parametrize("url", ["http://hub/base", "http://hub/base/", "http://hub/base/mcp"])
def test_a_hub_behind_a_prefix(open_client: Any, hub: Any, url: str) -> None:
    open_client(url).get_memory("m")
    assert str(hub.last.url) == "http://hub/base/v1/agent/memories/m"


def test_the_identity_goes_with_each_call(open_client: Any, hub: Any) -> None:
    client = open_client(agent_id="analyst", user_id="u")
    client.get_memory("m")
    said = {name: hub.last.headers.get(f"x-recall-{name}") for name in ("agent", "user", "session")}
    assert said == {"agent": "analyst", "user": "u", "session": None}

    assert client.set_agent_id("Prüfer") == {"status": "success", "agent_id": "Prüfer"}
    assert client.set_session_id("s")["status"] == "success"
    client.set_user_id(None)
    client.get_memory("m")
    raw = dict(hub.last.headers.raw)
    assert raw[b"x-recall-agent"] == "Prüfer".encode()
    assert raw[b"x-recall-session"] == b"s"
    assert b"x-recall-user" not in raw


def test_a_session_that_is_created_is_the_clients_own(client: Any, hub: Any) -> None:
    hub.next_ = [problem(403, "forbidden"), httpx.Response(200, json={"session_id": "s-1"})]
    assert client.create_session()["status"] == "error"
    assert client.identity.session_id is None
    assert client.create_session(metadata={"a": 1})["session_id"] == "s-1"
    client.get_memory("m")
    assert hub.last.headers["x-recall-session"] == "s-1"


def test_threads_share_a_client(hub: Any) -> None:
    hub.says = lambda request: httpx.Response(200, json={"path": request.url.path})
    with MemoryClient("http://hub", transport=httpx.MockTransport(hub)) as client:
        wrong: list[Any] = []

        def ask(name: str) -> None:
            for number in range(30):
                path = client.get_memory(f"{name}-{number}")["path"]
                if not path.endswith(f"/{name}-{number}"):
                    wrong.append(path)

        threads = [threading.Thread(target=ask, args=(f"t{n}",)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (wrong, len(hub.asked)) == ([], 240)
        assert len({request.headers["x-request-id"] for request in hub.asked}) == 240


async def test_a_cancelled_probe_leaves_its_place_to_the_next_call(clock: Any) -> None:
    begun, asked = asyncio.Event(), 0

    async def says(_: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        if asked <= 3:
            raise AWAY
        if asked == 4:
            begun.set()
            await asyncio.Event().wait()
        return httpx.Response(200, json={})

    transport = httpx.MockTransport(says)
    breaker = Breaker(monotonic=clock)
    async with AsyncMemoryClient(
        "http://hub", transport=transport, breaker=breaker, retries=Retries(times=0)
    ) as client:
        for _ in range(3):
            await client.get_memory("m")
        clock.seconds += 60
        probe = asyncio.create_task(client.get_memory("m"))
        await begun.wait()
        assert (await client.get_memory("m"))["code"] == "circuit_open"
        probe.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probe
        assert (await client.get_memory("m"))["status"] == "success"
