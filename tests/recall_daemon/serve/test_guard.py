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
async def test_an_allowance_counts_on_its_own_route_alone(
    allowing, method, path, media_type, size, status
):
    async def chunks():
        for start in range(0, size, 100):
            yield b"x" * min(100, size - start)

    ours = {"content-type": media_type}
    for body in (b"x" * size, chunks()):
        answer = await allowing.request(method, path, content=body, headers=ours)
        assert answer.status_code == status
    foreign = ours | {"host": "evil.example"}
    assert (await allowing.request(method, path, content=b"x", headers=foreign)).status_code == 421
