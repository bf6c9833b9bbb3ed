"""No web page gets through to the hub, and no body is larger than allowed."""

from __future__ import annotations

import re

import httpx
import pytest
from fastapi import FastAPI, Request
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from recall_daemon.search.query import QueryInvalid
from recall_daemon.serve.guard import Allowance, Guard
from recall_daemon.serve.problem import MEDIA_TYPE, install
from recall_wire.errors import BucketUnreachable, SourceInvalid

PORT = 8682
HOME = f"http://127.0.0.1:{PORT}"
LIMIT_BYTES = 1_000


class Body(BaseModel):
    text: str


def app():
    api = FastAPI()
    install(api, {SourceInvalid: 400})
    seen = []
    api.state.seen = seen

    @api.get("/memories")
    async def read(request: Request):
        return {"secret": "text", "id": request.state.request_id}

    @api.api_route("/raw", methods=["POST", "PUT", "DELETE"])
    async def raw(request: Request):
        data = await request.body()
        seen.append(len(data))
        return {"bytes": len(data)}

    @api.post("/model")
    async def model(body: Body):
        seen.append(len(body.text))
        return {}

    @api.get("/fails/{how}")
    async def fails(how: str):
        raise {
            "query": QueryInvalid("the query is empty", hint="write one"),
            "transient": BucketUnreachable("no bucket"),
            "terminal": SourceInvalid("no source"),
            "http": HTTPException(404, "no such memory"),
            "bug": ZeroDivisionError("secret inside"),
        }[how]

    return api


@pytest.fixture
def api():
    return app()


@pytest.fixture
async def client(api):
    guard = Guard(api, port=PORT, body_max_bytes=LIMIT_BYTES)
    transport = httpx.ASGITransport(guard, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=HOME) as opened:
        yield opened


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "LOCALHOST", "[::1]", "127.9.9.9"],
)
async def test_loopback_names_with_our_port_pass(client, host):
    answer = await client.get("/memories", headers={"host": f"{host}:{PORT}"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        f"evil.example:{PORT}",
        f"localhost.evil.example:{PORT}",
        f"127.0.0.1.evil.example:{PORT}",
        f"evil.example@127.0.0.1:{PORT}",
        f"127.0.0.1:{PORT}@evil.example",
        "127.0.0.1",
        "localhost",
        "127.0.0.1:80",
        f"127.0.0.1:{PORT}0",
        f"192.168.0.1:{PORT}",
        f"0.0.0.0:{PORT}",
        f"[2001:db8::1]:{PORT}",
        f"[::1:{PORT}",
        f"127.1:{PORT}",
        f"2130706433:{PORT}",
        "",
        ":",
        f"localhost:{PORT} ",
        f"localhost:{PORT}/",
    ],
)
async def test_any_other_host_is_refused(client, host):
    answer = await client.get("/memories", headers={"host": host})
    assert answer.status_code == 421
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert answer.json()["code"] == "host_refused"
    assert "secret" not in answer.text


@pytest.mark.parametrize("hosts", [[], [b"127.0.0.1:8682", b"evil.example"]])
async def test_no_host_or_two_are_refused(api, hosts):
    scope = _scope([(b"host", host) for host in hosts])
    sent = await _run(Guard(api, port=PORT), scope)
    assert sent[0]["status"] == 400


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "https://127.0.0.1:8682"},
        {"origin": "http://127.0.0.1:3000"},
        {"origin": "http://localhost:8682"},
        {"origin": ""},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "Cross-Site"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
async def test_calls_of_other_pages_are_refused(client, headers, method):
    answer = await client.request(method, "/memories", headers=headers)
    assert answer.status_code == 403
    assert answer.json()["code"] == "origin_refused"
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "headers", [{}, {"origin": HOME}, {"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}]
)
async def test_calls_of_our_own_page_pass(client, headers):
    answer = await client.get("/memories", headers=headers)
    assert answer.status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "kind",
    [
        None,
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain; application/json",
        "application/jsonx",
        "",
    ],
)
async def test_a_body_that_a_form_could_send_is_refused(client, api, method, kind):
    headers = {} if kind is None else {"content-type": kind}
    answer = await client.request(method, "/raw", content=b"{}", headers=headers)
    assert answer.status_code == 415
    assert api.state.seen == []


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8"])
async def test_json_passes(client, kind):
    answer = await client.post("/raw", content=b"{}", headers={"content-type": kind})
    assert answer.json() == {"bytes": 2}


async def test_no_body_needs_no_type(client):
    assert (await client.delete("/raw")).json() == {"bytes": 0}


async def _chunks(count, size):
    for _ in range(count):
        yield b"x" * size


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("path", ["/raw", "/model"])
@pytest.mark.parametrize("streamed", [False, True])
async def test_one_byte_too_many_is_refused(client, api, path, streamed):
    content = _chunks(LIMIT_BYTES + 1, 1) if streamed else b"x" * (LIMIT_BYTES + 1)
    answer = await client.post(path, content=content, headers=JSON)
    assert answer.status_code == 413
    assert answer.json()["code"] == "body_too_large"
    assert api.state.seen == []


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_body_of_exactly_the_limit_passes(client, streamed):
    content = _chunks(LIMIT_BYTES, 1) if streamed else b"x" * LIMIT_BYTES
    answer = await client.post("/raw", content=content, headers=JSON)
    assert answer.json() == {"bytes": LIMIT_BYTES}


async def test_a_declared_length_is_believed_only_downwards(api):
    """Nothing is read of a body that says it is too long; one that lies is still counted."""
    guard = Guard(api, port=PORT, body_max_bytes=10)
    for declared, status in ((b"9" * 5_000, 413), (b"-1", 400), (b"1e3", 400), (b"5", 413)):
        headers = [
            (b"host", b"127.0.0.1:8682"),
            (b"content-type", b"application/json"),
            (b"content-length", declared),
        ]
        sent = await _run(guard, _scope(headers, "POST", "/raw"), b"x" * 11)
        assert [m["status"] for m in sent if m["type"] == "http.response.start"] == [status]
    assert api.state.seen == []


async def test_every_answer_carries_a_request_id(client):
    own = await client.get("/memories", headers={"x-request-id": "job-7"})
    assert own.headers["x-request-id"] == own.json()["id"] == "job-7"
    hostile = await client.get("/memories", headers={"x-request-id": "a b<script>" + "x" * 99})
    assert len(hostile.headers["x-request-id"]) == 32
    refused = await client.get("/memories", headers={"host": "evil.example"})
    assert refused.json()["request_id"] == refused.headers["x-request-id"]


@pytest.mark.parametrize(
    ("how", "status", "code"),
    [
        ("query", 422, "query_invalid"),
        ("transient", 503, "bucket_unreachable"),
        ("terminal", 400, "source_invalid"),
        ("http", 404, "not_found"),
        ("bug", 500, "internal_error"),
    ],
)
async def test_errors_are_problem_details(client, how, status, code):
    answer = await client.get(f"/fails/{how}")
    assert answer.status_code == status
    assert answer.headers["content-type"] == MEDIA_TYPE
    body = answer.json()
    assert (body["status"], body["code"]) == (status, code)
    assert body["request_id"] == answer.headers["x-request-id"]
    assert "secret" not in answer.text
    assert body.get("hint") == ("write one" if how == "query" else None)


async def test_a_body_of_the_wrong_shape_is_one_sentence(client):
    answer = await client.post("/model", json={"txt": "x"})
    assert answer.status_code == 422
    assert answer.json()["detail"] == "body.text: Field required"


async def test_a_websocket_of_another_page_is_closed_before_it_opens(api):
    scope = _scope([(b"host", b"127.0.0.1:8682"), (b"origin", b"http://evil.example")])
    sent = await _run(Guard(api, port=PORT), {**scope, "type": "websocket"})
    assert [message["type"] for message in sent] == ["websocket.close"]


def _scope(headers, method="GET", path="/memories"):
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": headers,
    }


async def _run(guard, scope, body=b""):
    sent = []

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        sent.append(message)

    await guard(scope, receive, send)
    return sent


@pytest.fixture
async def allowing(api):
    """A guard that lets larger bodies of another type onto one route, for one method."""
    large = Allowance("PUT", re.compile(r"/raw"), frozenset({"application/x-large"}), 5_000)
    guard = Guard(api, port=PORT, body_max_bytes=LIMIT_BYTES, allowances=(large,))
    transport = httpx.ASGITransport(guard, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=HOME) as opened:
        yield opened


@pytest.mark.parametrize(
    ("route", "media_type", "size", "status"),
    [
        ("PUT /raw", "application/x-large", 5_000, 200),
        ("PUT /raw", "application/x-large", 5_001, 413),
        ("PUT /raw", "application/json", 10, 415),
        ("POST /raw", "application/x-large", 10, 415),
        ("POST /raw", "application/json", 1_001, 413),
        ("PUT /raw/", "application/x-large", 10, 415),
        ("PUT /x/raw", "application/x-large", 10, 415),
        ("PUT /raw%0A", "application/x-large", 10, 415),
    ],
)
async def test_an_allowance_counts_on_its_own_route_alone(
    allowing, route, media_type, size, status
):
    async def chunks():
        for start in range(0, size, 100):
            yield b"x" * min(100, size - start)

    method, path = route.split()
    ours = {"content-type": media_type}
    for body in (b"x" * size, chunks()):
        answer = await allowing.request(method, path, content=body, headers=ours)
        assert answer.status_code == status
    foreign = ours | {"host": "evil.example"}
    assert (await allowing.request(method, path, content=b"x", headers=foreign)).status_code == 421
