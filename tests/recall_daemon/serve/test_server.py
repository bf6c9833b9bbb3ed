"""What others may reach the port, over what, and that no connection keeps others out."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from fastapi import FastAPI, Request, Response

from recall_daemon.serve import connections, guard, problem
from recall_daemon.serve.server import Server, bind, url_of
from recall_daemon.settings import HubSettings
from recall_wire.errors import SettingsInvalid


def settings(**changes: Any) -> HubSettings:
    return HubSettings(**({"http_port": 0} | changes))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.9.9.9"])
def test_loopback_needs_no_token(host: str) -> None:
    with bind(settings(http_host=host), has_token=False) as listener:
        assert url_of(listener).startswith("http://")


@pytest.mark.parametrize(
    "changes",
    [
        {"http_host": "0.0.0.0"},
        {"http_host": "::"},
        {"http_host": "192.0.2.1"},
        {"http_host": "hub.example"},
        {"http_names": ["hub.example"]},
    ],
)
def test_what_others_can_reach_needs_a_token(changes: dict[str, Any]) -> None:
    """A proxy before a loopback port is others, too."""
    with pytest.raises(SettingsInvalid, match=r"no token.*recalld token create"):
        bind(settings(**changes), has_token=False)


def test_with_a_token_any_address_may_be_bound() -> None:
    with bind(settings(http_host="0.0.0.0"), has_token=True) as listener:
        assert url_of(listener, tls=True).startswith("https://127.0.0.1:")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tls_cert": "cert.pem"}, "go together"),
        ({"tls_key": "key.pem"}, "go together"),
        ({"http_names": ["https://hub.example"]}, "no host name"),
        ({"http_names": ["hub.example:443"]}, "no host name"),
        ({"rate_per_minute": -1}, "rate_per_minute"),
    ],
)
def test_what_cannot_be_served_is_said(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        settings(**changes)


def app() -> FastAPI:
    api = FastAPI()
    problem.install(api)

    @api.get("/here")
    async def here(request: Request) -> dict[str, str]:
        return {"scheme": request.url.scheme, "client": request.client.host}  # type: ignore[union-attr]

    @api.post("/body")
    def body(body: dict[str, Any]) -> dict[str, int]:
        return {"names": len(body)}

    @api.get("/large")
    async def large() -> Response:
        return Response(b"x" * (32 << 20))

    return api


@asynccontextmanager
async def serving(**changes: Any) -> AsyncIterator[Server]:
    own = settings(**changes)
    with bind(own, has_token=True) as listener:
        server = Server(app(), listener, own)
        running = asyncio.create_task(server.run_until_stopped())
        while not server.started:
            await asyncio.sleep(0)
        try:
            yield server
        finally:
            server.stop()
            await running


def port_of(server: Server) -> int:
    return int(server._listener.getsockname()[1])


@dataclass(frozen=True)
class Line:
    """A connection that is held open, whatever becomes of it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ended(self) -> bytes:
        """What comes until the other side closes."""
        with contextlib.suppress(ConnectionResetError):
            return await self.reader.read()
        return b""


Connect = Callable[..., Awaitable[Line]]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Opens lines and says something on each."""
    lines: list[Line] = []

    async def opened(server: Server, said: bytes = b"") -> Line:
        lines.append(Line(*await asyncio.open_connection("127.0.0.1", port_of(server))))
        lines[-1].writer.write(said)
        return lines[-1]

    yield opened
    for line in lines:
        line.writer.close()
        with contextlib.suppress(OSError):
            await line.writer.wait_closed()


async def ask(server: Server, path: str = "/here") -> httpx.Response:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port_of(server)}") as http:
        return await http.get(path)


def head(server: Server, path: str = "/body", length: int = 100) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port_of(server)}\r\n"
        f"content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    ).encode()


async def test_no_part_of_an_answer_waits_for_the_one_before(connect: Connect) -> None:
    async with serving() as server:
        await connect(server)
        while not server.server_state.connections:
            await asyncio.sleep(0)
        (connection,) = server.server_state.connections
        accepted = connection.transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize("said", [b"", b"GET /here HTTP/1.1\r\nhost: "])
async def test_a_connection_that_asks_nothing_is_closed(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(connections, "HEADERS_S", 0.05)
    async with serving() as server:
        assert await (await connect(server, said)).ended() == b""


LINE = b"POST /body HTTP/1.1\r\nhost: localhost:PORT\r\ncontent-type: application/json\r\n"
CHUNKS = LINE + b"transfer-encoding: chunked\r\n\r\n"
LONG = b"x" * (8 * connections.HEAD_MAX_BYTES)  # more than is read at once


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"\r\n" * connections.HEAD_MAX_BYTES, id="lines before it"),
        pytest.param(b"GET /" + LONG, id="address"),
        pytest.param(LINE + b"a: " + LONG, id="one header"),
        pytest.param(LINE + b"a: b\r\n" * 300, id="many headers"),
        pytest.param(LINE + b"a: b\r\n" * 300 + b"\r\n", id="many headers, then the end"),
        pytest.param(CHUNKS + b"1;a=" + LONG, id="what a chunk says"),
        pytest.param(CHUNKS + b"0\r\na: " + LONG, id="one trailer"),
        pytest.param(CHUNKS + b"0\r\n" + b"a: b\r\n" * 300, id="many trailers"),
    ],
)
async def test_a_head_that_does_not_end_is_cut_off(connect: Connect, said: bytes) -> None:
    """The parser would keep all of it; nobody asks who sends it before it is complete."""
    async with serving() as server:
        port = str(port_of(server)).encode()
        answer = await (await connect(server, said.replace(b"PORT", port))).ended()
        assert answer == b"" or answer.startswith(b"HTTP/1.1 431 ")
        assert (await ask(server)).status_code == 200


@pytest.mark.parametrize(
    ("said", "status", "code"),
    [
        (b"garbage\r\n\r\n", 400, "http_invalid"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "http_invalid"),
        (b"FETCH /here HTTP/1.1\r\n", 400, "http_invalid"),
        (b"GET /\xff HTTP/1.1\r\n", 400, "http_invalid"),
        (b"GET /here HTTP/1.1\r\nno name: x\r\n", 400, "http_invalid"),
        (b"GET /here HTTP/1.1\r\n" + b"a: b\r\n" * 300, 431, "head_too_large"),
        (b"TRACE /here HTTP/1.1\r\nhost: 127.0.0.1:PORT\r\n\r\n", 405, "method_not_allowed"),
        (b"PROPFIND /here HTTP/1.1\r\nhost: 127.0.0.1:PORT\r\n\r\n", 405, "method_not_allowed"),
    ],
)
async def test_what_cannot_be_read_is_a_problem_too(
    connect: Connect, said: bytes, status: int, code: str
) -> None:
    async with serving() as server:
        line = await connect(server, said.replace(b"PORT", str(port_of(server)).encode()))
        head, _, body = (await line.reader.readuntil(b"}")).partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    assert lines[0].startswith(f"http/1.1 {status} ")
    assert {"content-type: application/problem+json", "x-content-type-options: nosniff"} < {*lines}
    answer = json.loads(body)
    assert (answer["status"], answer["code"]) == (status, code)
    assert f"x-request-id: {answer['request_id']}" in lines


async def test_a_head_is_counted_apart_from_bodies_and_from_other_heads(connect: Connect) -> None:
    """Whatever comes in one piece of it, also one request after another on one connection."""
    body = b"{" + b" " * (2 * connections.HEAD_MAX_BYTES) + b"}"
    async with serving() as server:
        padding = b"a: " + b"x" * (connections.HEAD_MAX_BYTES // 2) + b"\r\n\r\n"
        whole = head(server, length=len(body)).removesuffix(b"\r\n") + padding + body
        line = await connect(server)
        for _ in range(3):
            line.writer.write(whole)
            answer = await line.reader.readuntil(b"0}")
            assert answer.startswith(b"HTTP/1.1 200 ")


async def test_a_body_that_does_not_end_is_cut_off(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And takes no worker meanwhile: more of them than there are workers."""
    monkeypatch.setattr(guard, "BODY_S", 0.3)
    async with serving() as server:
        lines = [await connect(server, head(server) + b'{"a"') for _ in range(60)]
        assert (await ask(server)).status_code == 200
        answers = [await line.ended() for line in lines]
    assert all(answer.startswith(b"HTTP/1.1 408 ") for answer in answers)
    assert all(b'"code": "body_too_slow"' in answer for answer in answers)


async def test_a_body_may_take_its_time_while_it_comes(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow line is given a second for each so many bytes."""
    monkeypatch.setattr(guard, "BODY_S", 0.2)
    monkeypatch.setattr(guard, "BODY_MIN_BYTES_PER_S", 0.1)
    async with serving() as server:
        line = await connect(server, head(server, length=8) + b'{"a"')
        await asyncio.sleep(0.3)
        line.writer.write(b": 1}")
        assert (await line.reader.readline()).startswith(b"HTTP/1.1 200 ")


async def test_an_answer_that_nobody_reads_is_given_up(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "UNREAD_S", 0.1)
    async with serving() as server:
        request = f"GET /large HTTP/1.1\r\nhost: 127.0.0.1:{port_of(server)}\r\n\r\n"
        await connect(server, request.encode())
        while not server.server_state.connections:
            await asyncio.sleep(0)
        while server.server_state.connections:
            await asyncio.sleep(0.01)


async def test_the_longest_idle_makes_room(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "connections_max", lambda: 4)
    async with serving() as server:
        busy = await connect(server, head(server, length=2) + b"{")
        while len(server.server_state.connections) < 1:
            await asyncio.sleep(0)
        idle = [await connect(server) for _ in range(10)]
        assert (await ask(server)).status_code == 200
        assert [await line.ended() for line in idle[:7]] == [b""] * 7
        busy.writer.write(b"}")
        said = await busy.reader.readline()
        assert said.startswith(b"HTTP/1.1 200 "), "a request under way is never cut"


def test_files_are_left_for_the_rest_of_the_hub() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        connections.raise_file_limit()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert soft == min(hard, connections.FILES_MAX)
        resource.setrlimit(resource.RLIMIT_NOFILE, (2_000, hard))
        assert connections.connections_max() == 2_000 - connections.FILES_KEPT
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    authority = trustme.CA()
    made = authority.issue_cert("hub.example", "127.0.0.1")
    made.private_key_pem.write_to_path(key)
    for blob in (*made.cert_chain_pems, authority.cert_pem):
        blob.write_to_path(cert, append=True)
    return cert, key


async def test_tls_by_file(certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    trusting = ssl.create_default_context(cafile=str(cert))
    async with serving(tls_cert=cert, tls_key=key) as server:
        url = f"https://127.0.0.1:{port_of(server)}"
        async with httpx.AsyncClient(base_url=url, verify=trusting) as http:
            assert (await http.get("/here")).json()["scheme"] == "https"
            assert (await http.get("/here", headers={"origin": url})).status_code == 200
            plain = {"origin": url.replace("https", "http")}
            assert (await http.get("/here", headers=plain)).status_code == 403
        server.reload_tls(settings(tls_cert=cert, tls_key=key))
        with pytest.raises(SettingsInvalid, match="cannot be used"):
            server.reload_tls(settings(tls_cert=key, tls_key=key))


def test_files_that_are_no_certificate_are_said(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.pem"
    for content in (None, "no certificate"):
        if content:
            wrong.write_text(content)
        own = settings(tls_cert=wrong, tls_key=wrong)
        with (
            bind(own, has_token=False) as listener,
            pytest.raises(SettingsInvalid, match=r"wrong\.pem.*cannot be used"),
        ):
            Server(FastAPI(), listener, own)


async def test_a_proxy_speaks_for_whoever_it_serves() -> None:
    """Its name passes with any port, and its https is ours; without one nobody is believed."""
    said = {"x-forwarded-for": "192.0.2.7", "x-forwarded-proto": "https"}
    page = {"host": "hub.example", "origin": "https://hub.example", **said}
    async with serving(http_names=["hub.example"]) as server:
        url = f"http://127.0.0.1:{port_of(server)}"
        async with httpx.AsyncClient(base_url=url) as http:
            told = (await http.get("/here", headers=page)).json()
            assert told == {"scheme": "https", "client": "192.0.2.7"}
            no_scheme = {**page, "x-forwarded-proto": ""}
            assert (await http.get("/here", headers=no_scheme)).status_code == 200
            other = {**page, "host": "hub.example.evil"}
            assert (await http.get("/here", headers=other)).status_code == 421
            plain = {**page, "origin": "http://hub.example"}
            assert (await http.get("/here", headers=plain)).status_code == 403
    async with serving() as server:
        url = f"http://127.0.0.1:{port_of(server)}"
        async with httpx.AsyncClient(base_url=url) as http:
            assert (await http.get("/here", headers=said)).json()["client"] == "127.0.0.1"


async def test_a_hub_bound_to_all_is_reached_by_address_and_not_by_any_name() -> None:
    async with serving(http_host="0.0.0.0") as server, httpx.AsyncClient() as http:
        port = port_of(server)
        for host, status in (
            (f"192.0.2.1:{port}", 200),
            ("192.0.2.1:1", 421),
            (f"evil.example:{port}", 421),
        ):
            answer = await http.get(f"http://127.0.0.1:{port}/here", headers={"host": host})
            assert answer.status_code == status
