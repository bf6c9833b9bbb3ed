"""Who is let in, by what, and for how long."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse

from recall_daemon.access.tokens import Asked, Tokens
from recall_daemon.serve import login, problem
from recall_daemon.serve.access import STATUSES
from recall_daemon.serve.gate import COOKIE, Gate, Terms
from recall_daemon.serve.guard import Guard
from recall_daemon.serve.rate import NAMES_MAX, Rate
from recall_daemon.serve.who import Admin, Who
from recall_daemon.store.store import Store

HOME = "http://127.0.0.1:8682"
FORM = {"content-type": "application/x-www-form-urlencoded", "origin": HOME}
Open = Callable[..., httpx.AsyncClient]


@pytest.fixture
def clock() -> list[datetime]:
    return [datetime(2026, 1, 1, tzinfo=UTC)]


@pytest.fixture
def tokens(tmp_path: Path, clock: list[datetime]) -> Iterator[Tokens]:
    store = Store(tmp_path)
    yield Tokens(store, now=lambda: clock[0])
    store.close()


def app_of(tokens: Tokens, terms: Terms) -> FastAPI:
    app = FastAPI()
    problem.install(app, STATUSES)
    login.install(app, tokens, terms)

    @app.get("/who")
    async def who(caller: Who) -> dict[str, str]:
        return {"name": caller.name}

    @app.post("/write")
    async def write(caller: Admin) -> dict[str, str]:
        return {"name": caller.name}

    @app.get("/stream")
    async def stream(caller: Who) -> StreamingResponse:
        async def lines() -> AsyncIterator[bytes]:
            for number in range(3):
                yield b"%d\n" % number
                tokens.revoke(caller.name.partition(":")[2], actor="test")

        return StreamingResponse(lines())

    @app.websocket("/socket")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                await websocket.send_text(await websocket.receive_text())

    app.add_middleware(Gate, tokens=tokens, terms=terms)
    return app


@pytest.fixture
async def open_client(tokens: Tokens) -> AsyncIterator[Open]:
    opened: list[httpx.AsyncClient] = []

    def make(token: str | None = None, **terms: Any) -> httpx.AsyncClient:
        guard = Guard(app_of(tokens, Terms(**terms)), port=8682, allowances=(login.FORM,))
        transport = httpx.ASGITransport(guard, raise_app_exceptions=False)
        headers = {"authorization": f"Bearer {token}"} if token else {}
        opened.append(httpx.AsyncClient(transport=transport, base_url=HOME, headers=headers))
        return opened[-1]

    yield make
    for client in opened:
        await client.aclose()


async def test_a_loopback_port_is_open_until_there_is_a_token(
    tokens: Tokens, open_client: Open, clock: list[datetime]
) -> None:
    http = open_client()
    assert (await http.get("/who")).json() == {"name": "loopback"}
    row, _ = tokens.create(Asked("reader", life=timedelta(days=1)), actor="test")
    assert (await http.get("/who")).status_code == 401
    clock[0] += timedelta(days=2)
    assert (await http.get("/who")).status_code == 401, "a token that expires opens nothing"
    tokens.revoke(row.token_id, actor="test")
    assert (await http.get("/who")).json() == {"name": "loopback"}


async def test_what_others_reach_is_never_open(open_client: Open) -> None:
    http = open_client(loopback_alone=False)
    for path in ("/who", "/v1/openapi.json", "/nothing"):
        answer = await http.get(path)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == 'Bearer realm="recalld"'
        assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_the_local_secret_is_an_admin(tokens: Tokens, open_client: Open) -> None:
    tokens.create(Asked("admin"), actor="test")
    secret = {"local_secret": "s" * 43}
    assert (await open_client("s" * 43, **secret).get("/who")).json() == {"name": "local"}
    assert (await open_client("s" * 43, **secret).post("/write")).status_code == 200
    assert (await open_client("t" * 43, **secret).get("/who")).status_code == 401
    cookie = {"cookie": f"{COOKIE}={'s' * 43}"}
    assert (await open_client(**secret).get("/who", headers=cookie)).status_code == 401


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic {}", "{}", "Bearer {}x", "Bearer {} {}", "Bearer \u00fc"],
)
async def test_what_is_no_bearer_token_is_refused(
    tokens: Tokens, open_client: Open, header: str
) -> None:
    _, token = tokens.create(Asked("admin"), actor="test")
    given = header.replace("{}", token).encode("latin-1")
    answer = await open_client().get("/who", headers=[(b"authorization", given)])
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert token not in answer.text


async def test_two_tokens_are_none(tokens: Tokens, open_client: Open) -> None:
    _, token = tokens.create(Asked("admin"), actor="test")
    headers = [("authorization", f"Bearer {token}")] * 2
    assert (await open_client().get("/who", headers=headers)).status_code == 401
    assert (await open_client().get("/who", headers=headers[:1])).status_code == 200
    lower = {"authorization": f"bearer {token}"}
    assert (await open_client().get("/who", headers=lower)).status_code == 200


async def test_a_stream_ends_with_its_token(tokens: Tokens, open_client: Open) -> None:
    tokens.create(Asked("admin"), actor="test")
    _, token = tokens.create(Asked("reader"), actor="test")
    answer = await open_client(token).get("/stream")
    assert answer.text == "0\n"


async def test_a_websocket_needs_a_token_and_ends_with_it(tokens: Tokens) -> None:
    app = app_of(tokens, Terms())
    tokens.create(Asked("admin"), actor="test")
    row, token = tokens.create(Asked("reader"), actor="test")
    assert await _socket(app, None, []) == ["websocket.close"]
    heard = await _socket(app, token, ["a", lambda: tokens.revoke(row.token_id, actor="x"), "b"])
    assert heard == ["websocket.accept", "a", "websocket.close"]


async def _socket(app: FastAPI, token: str | None, said: list[Any]) -> list[str]:
    """What a websocket hears that says so much."""
    heard: list[str] = []
    left = ["", *said]

    async def receive() -> dict[str, Any]:
        while left:
            item = left.pop(0)
            if callable(item):
                item()
                continue
            kind = "websocket.receive" if item else "websocket.connect"
            return {"type": kind, "text": item}
        return {"type": "websocket.disconnect", "code": 1000}

    async def send(message: Any) -> None:
        heard.append(message.get("text") or message["type"])

    cookie = [(b"cookie", f"other=1; {COOKIE}={token}".encode())] if token else []
    scope = {"type": "websocket", "path": "/socket", "headers": cookie, "query_string": b""}
    await app({**scope, "root_path": "", "subprotocols": []}, receive, send)
    return heard


async def test_each_caller_has_a_rate_of_their_own(tokens: Tokens, open_client: Open) -> None:
    first = tokens.create(Asked("admin"), actor="test")[1]
    second = tokens.create(Asked("admin"), actor="test")[1]
    http = open_client(rate_per_minute=2)

    async def write(token: str) -> httpx.Response:
        return await http.post("/write", headers={"authorization": f"Bearer {token}"})

    assert [(await write(first)).status_code for _ in range(3)] == [200, 200, 429]
    held = await write(first)
    assert held.json()["code"] == "rate_limited"
    assert 1 <= int(held.headers["retry-after"]) <= 30
    assert (await write(second)).status_code == 200
    reads = {"authorization": f"Bearer {first}"}
    assert (await http.get("/who", headers=reads)).status_code == 200


def test_a_rate_fills_up_again_with_time() -> None:
    now = [0.0]
    rate = Rate(60, lambda: now[0])
    assert [rate.wait_s("a") for _ in range(61)] == [0] * 60 + [1]
    now[0] = 2.5
    assert [rate.wait_s("a") for _ in range(3)] == [0, 0, 1]
    now[0] = 1e6
    assert [rate.wait_s("a") for _ in range(61)] == [0] * 60 + [1]
    for number in range(NAMES_MAX + 5):
        rate.wait_s(str(number))
    assert len(rate._left) == NAMES_MAX
    assert Rate(0).wait_s("a") == 0


async def test_a_browser_is_sent_to_the_form_and_gets_in_with_a_token(
    tokens: Tokens, open_client: Open
) -> None:
    _, token = tokens.create(Asked("reader"), actor="test")
    http = open_client()
    page = {"accept": "text/html,application/xhtml+xml"}
    sent = await http.get("/anything", headers=page)
    assert (sent.status_code, sent.headers["location"]) == (303, "/login")
    form = await http.get("/login", headers=page)
    assert form.status_code == 200
    assert "<script" not in form.text
    assert "default-src 'none'" in form.headers["content-security-policy"]

    done = await http.post("/login", content=f"token={token}", headers=FORM)
    assert (done.status_code, done.headers["location"]) == (303, "/")
    cookie = done.headers["set-cookie"]
    assert cookie == f"{COOKIE}={token}; HttpOnly; Path=/; SameSite=strict"
    assert (await http.get("/who")).json()["name"].startswith("reader:")
    assert (await http.get("/login", headers=page)).headers["location"] == "/"
    out = await http.post("/logout", headers=FORM)
    assert (out.status_code, out.headers["location"]) == (303, "/login")
    assert (await http.get("/who")).status_code == 401


async def test_a_cookie_over_tls_goes_nowhere_else(tokens: Tokens, open_client: Open) -> None:
    _, token = tokens.create(Asked("reader"), actor="test")
    done = await open_client(tls=True).post("/login", content=f"token={token}", headers=FORM)
    assert "; Secure" in done.headers["set-cookie"]


async def test_attempts_to_log_in_are_few_and_leave_no_token(
    tokens: Tokens, open_client: Open, capsys: pytest.CaptureFixture[str]
) -> None:
    _, token = tokens.create(Asked("reader"), actor="test")
    http = open_client()
    wrong = {"content": "token=rct_wrong_secret", "headers": FORM}
    statuses = [(await http.post("/login", **wrong)).status_code for _ in range(11)]
    assert statuses == [401] * login.ATTEMPTS_PER_MINUTE + [429]
    held = await http.post("/login", content=f"token={token}", headers=FORM)
    assert held.status_code == 429
    assert "set-cookie" not in held.headers
    assert int(held.headers["retry-after"]) >= 1
    said = capsys.readouterr()
    assert "login.failed" in said.out + said.err
    assert "wrong_secret" not in said.out + said.err + held.text


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
async def test_no_other_page_can_log_in_or_out(
    tokens: Tokens, open_client: Open, headers: dict[str, str]
) -> None:
    _, token = tokens.create(Asked("reader"), actor="test")
    for path in ("/login", "/logout"):
        answer = await open_client().post(
            path, content=f"token={token}", headers={**FORM, "origin": HOME, **headers}
        )
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "content",
    [b"", b"token", b"token=", b"\xff\xfe=\xff", b"token=" + b"x" * 4_000, b"a=1&" * 11],
)
async def test_whatever_is_posted_to_the_form_is_answered(
    tokens: Tokens, open_client: Open, content: bytes
) -> None:
    tokens.create(Asked("reader"), actor="test")
    answer = await open_client().post("/login", content=content, headers=FORM)
    assert answer.status_code == 401
