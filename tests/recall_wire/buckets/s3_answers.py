"""An HTTP server on loopback that answers every request as it was told to."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Answer:
    """`code` makes an S3 error body; `reset` breaks the connection instead of answering."""

    status: int = 200
    code: str = ""
    extra: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    reset: bool = False
    promised_bytes: int | None = None

    @property
    def body(self) -> bytes:
        if self.raw is not None:
            return self.raw
        if not self.code:
            return b""
        return (
            f'<?xml version="1.0"?><Error><Code>{self.code}</Code>'
            f"<Message>words of the server, s3cr3t</Message>{self.extra}</Error>"
        ).encode()


@contextmanager
def answering(
    *answers: Answer, tls: ssl.SSLContext | None = None
) -> Iterator[tuple[str, list[str]]]:
    """Yield the endpoint's URL and the request lines it has seen.

    Of several answers each request takes one, in order; the last one is for all that follow.
    """
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            answer = answers[min(len(seen), len(answers) - 1)]
            seen.append(self.requestline)
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if answer.reset:
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.close_connection = True
                return
            body = b"" if self.command == "HEAD" else answer.body
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            length = len(body) if answer.promised_bytes is None else answer.promised_bytes
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = answer.promised_bytes is not None

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _answer

        def log_message(self, *_: object) -> None:
            return

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that breaks off is what the tests are about."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
