"""moto behind a network that can be cut: it counts what arrives, and what is under way."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from recall_wire.buckets import S3Options, open_bucket
from recall_wire.buckets.multipart import abort_stale


@dataclass(frozen=True, slots=True)
class Request:
    """`part` is 0 where it is no part; `bytes` of its body have arrived."""

    method: str
    part: int
    bytes: int
    content_sha256: str


class CutServer:
    """A WSGI application around moto. `on_part` runs before part n of this server's life is
    handed on; what arrives while the network is cut reaches the socket and nobody else. Parts of
    the uploads in `gone` are answered as S3 does; moto itself answers 500.
    """

    def __init__(self) -> None:
        self._app = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()
        self._in_flight = 0
        self.requests: list[Request] = []
        self.most_in_flight = 0
        self.stored_parts = 0
        self.cut_after: int | None = None
        self.gone: set[str] = set()
        self.on_part: Callable[[int], None] = lambda number: None

    @property
    def part_bytes(self) -> int:
        return sum(request.bytes for request in self.requests if request.part)

    def mend(self) -> None:
        self.cut_after = None

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if self._is_cut():
            return _reset(environ)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        part = int(parse_qs(environ["QUERY_STRING"]).get("partNumber", ["0"])[0])
        sha256 = environ.get("HTTP_X_AMZ_CONTENT_SHA256", "")
        environ["wsgi.input"] = BytesIO(body)
        with self._lock:
            self.requests.append(Request(environ["REQUEST_METHOD"], part, len(body), sha256))
        return self._part(part, environ, start) if part else self._app(environ, start)

    def _part(
        self, number: int, environ: dict[str, Any], start: Callable[..., Any]
    ) -> Iterable[bytes]:
        with self._lock:
            self._in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self._in_flight)
        try:
            self.on_part(number)
            with self._lock:  # one at a time, so that exactly `cut_after` parts are stored
                if self.cut_after is not None and self.stored_parts >= self.cut_after:
                    return _reset(environ)
                if parse_qs(environ["QUERY_STRING"])["uploadId"][0] in self.gone:
                    return _no_such_upload(start)
                answer = self._app(environ, start)
                self.stored_parts += 1
            return answer
        finally:
            with self._lock:
                self._in_flight -= 1

    def _is_cut(self) -> bool:
        with self._lock:
            return self.cut_after is not None and self.stored_parts >= self.cut_after


def _no_such_upload(start: Callable[..., Any]) -> Iterable[bytes]:
    start("404 Not Found", [("Content-Type", "application/xml")])
    return [b"<Error><Code>NoSuchUpload</Code></Error>"]


def _reset(environ: dict[str, Any]) -> Iterable[bytes]:
    """Break the connection, as a network that is gone would."""
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionResetError


class _Quiet(WSGIRequestHandler):
    def log(self, *_: object) -> None:
        return


@contextmanager
def cut_server() -> Iterator[tuple[str, CutServer]]:
    """Yield its URL and the server, with an empty bucket `memories`."""
    app = CutServer()
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        _create_bucket(url)
        yield url, app
        app.mend()
        _empty(url)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def options(url: str) -> S3Options:
    return S3Options(url, "us-east-1", "key", "secret", 5, 20)


def _create_bucket(url: str) -> None:
    client = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    )
    client.create_bucket(Bucket="memories")
    client.close()


def _empty(url: str) -> None:
    """moto's memory is one for the whole process."""
    bucket = open_bucket("s3://memories", options(url))
    for page in bucket.list(""):
        for item in page.objects:
            bucket.delete(item.key)
    abort_stale(bucket, "", datetime.max.replace(tzinfo=UTC))
    bucket.close()
