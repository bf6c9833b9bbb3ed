"""A hub over real HTTP that keeps what is pushed to it, and fails where it is told to."""

from __future__ import annotations

import hashlib
import io
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pyarrow.parquet as pq
import pytest

from recall_uploader.methods.hub import HubClient

Answer = tuple[int, dict[str, Any]]
Fault = Callable[[str, str], Answer | None]


@dataclass
class FakeHub:
    """The hub's side of the contract: open, stage, commit. The real hub is tried in tests/e2e."""

    url: str = ""
    merged: dict[int, list[str]] = field(default_factory=dict)
    manifests: dict[int, bytes] = field(default_factory=dict)
    staged: dict[tuple[int, int], bytes] = field(default_factory=dict)
    rows_sent: dict[tuple[int, int], str] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)
    fault: Fault = lambda method, path: None
    lose_answers: bool = False
    lose_answers_to: str = ""  # calls whose path ends so
    standing: dict[str, Any] = field(default_factory=dict)

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> Answer | None:
        """None: the connection is closed without an answer."""
        self.calls.append(f"{method} {path.removeprefix('/v1/push/')}")
        self.tokens.add(headers.get("authorization"))
        if (said := self.fault(method, path)) is not None:
            return said
        answer = self._do(method, path.removeprefix("/v1/push/").split("/"), headers, body)
        is_lost = bool(self.lose_answers_to) and path.endswith(self.lose_answers_to)
        return None if self.lose_answers or is_lost else answer

    def _do(self, method: str, parts: list[str], headers: Any, body: bytes) -> Answer:
        if len(parts) == 1:
            nothing = {"highest_seq": 0, "manifest_sha256": None, "machine": None}
            nothing |= {"instance_id": None, "complete_to": 0, "missing": [], "quarantined": []}
            return 200, {"system_id": parts[0], **nothing, **self.standing}
        seq = int(parts[1])
        if len(parts) == 2:
            return self._open(seq, body)
        if parts[2] == "batches":
            assert hashlib.sha256(body).hexdigest() == headers["x-content-sha256"]
            self.staged[seq, int(parts[3])] = body
            self.rows_sent[seq, int(parts[3])] = headers["x-rows"]
            return 200, {"number": int(parts[3]), "rows": int(headers["x-rows"])}
        return self._commit(seq, json.loads(body))

    def _open(self, seq: int, manifest: bytes) -> Answer:
        if seq in self.merged:
            if manifest == self.manifests[seq] or _is_void_of(self.manifests[seq], manifest):
                return 200, {"state": "merged", "have": []}
            return 409, {"code": "snapshot_clash", "detail": f"another snapshot {seq} is there"}
        self.manifests[seq] = manifest
        have = [
            {"number": number, "rows": 0, "sha256": hashlib.sha256(data).hexdigest()}
            for (at, number), data in self.staged.items()
            if at == seq
        ]
        return 200, {"state": "open", "have": have}

    def _commit(self, seq: int, said: dict[str, Any]) -> Answer:
        assert hashlib.sha256(self.manifests[seq]).hexdigest() == said["manifest_sha256"]
        tables = []
        for number, digest in enumerate(said["batches"], start=1):
            data = self.staged.pop((seq, number))
            assert hashlib.sha256(data).hexdigest() == digest
            tables.append(pq.read_table(io.BytesIO(data)))
        self.merged[seq] = [i for table in tables for i in table["memory_id"].to_pylist()]
        return 200, {"status": "merged"}


def _is_void_of(there: bytes, manifest: bytes) -> bool:
    """The same instance took the snapshot out after it was merged."""
    held, new = json.loads(there), json.loads(manifest)
    return bool(new["kind"] == "void" and new["instance_id"] == held["instance_id"])


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    """Listening on a port of its own."""
    fake = FakeHub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            answer = fake.answer(self.command, self.path, self.headers, body)
            if answer is None:
                self.close_connection = True
                return
            status, members = answer
            data = json.dumps(members).encode()
            self.send_response(status)
            for name, value in members.get("_headers", {}).items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PUT = do_POST = _answer

        def log_message(self, format: str, *arguments: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield fake
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def push_to(hub: FakeHub) -> Callable[[Any], Any]:
    """The same instance, with that hub."""
    from dataclasses import replace

    return lambda instance: replace(instance, connect_hub=lambda: HubClient(hub.url, "s3cret"))
