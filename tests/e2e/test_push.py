"""A real hub on its port: killed between any two calls of a push, and bodies that end early."""

from __future__ import annotations

import io
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recall_wire.manifest import DataFile, Manifest, Producer, Source, sha256_hex
from recall_wire.records import Record, to_batch

ROWS = [Record(f"m{n}", text=f"memory {n} of a push") for n in range(3)]
PARQUET = "application/vnd.apache.parquet"


def parquet(records: list[Record]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_batches([to_batch(records)]), buffer, compression="zstd")
    return buffer.getvalue()


def manifest_of(data: bytes) -> Manifest:
    sha256 = sha256_hex(data)
    name = f"memories-{sha256[:16]}.parquet"
    file = DataFile(name=name, format="parquet", bytes=len(data), sha256=sha256, rows=len(ROWS))
    return Manifest(
        system_id="a",
        seq=1,
        machine="m",
        instance_id="i",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        producer=Producer(name="test", version="0"),
        kind="full",
        source=Source(type="test", fingerprint="f"),
        files=(file,),
        rows=len(ROWS),
    )


MANIFEST = manifest_of(parquet(ROWS)).to_bytes()
BATCHES = [parquet([row]) for row in ROWS]


def put_manifest(hub: Any) -> httpx.Response:
    headers = {"content-type": "application/json"}
    return httpx.put(f"{hub.url}/v1/push/a/1", content=MANIFEST, headers=headers)


def put_batch(hub: Any, number: int) -> httpx.Response:
    data = BATCHES[number - 1]
    headers = {
        "content-type": PARQUET,
        "x-content-sha256": sha256_hex(data),
        "x-manifest-sha256": sha256_hex(MANIFEST),
        "x-rows": "1",
    }
    url = f"{hub.url}/v1/push/a/1/batches/{number}"
    return httpx.put(url, content=data, headers=headers)


def commit(hub: Any) -> httpx.Response:
    body = {
        "manifest_sha256": sha256_hex(MANIFEST),
        "batches": [sha256_hex(data) for data in BATCHES],
    }
    return httpx.post(f"{hub.url}/v1/push/a/1/commit", json=body, timeout=60)


def found(hub: Any) -> list[str]:
    answer = httpx.post(f"{hub.url}/v1/search", json={"query": "memory 2 of a push", "limit": 1})
    return [hit["memory_id"] for hit in answer.raise_for_status().json()["hits"]]


STEPS: list[Callable[[Any], httpx.Response]] = [
    put_manifest,
    *(lambda hub, number=number: put_batch(hub, number) for number in (1, 2, 3)),
    commit,
]


@pytest.mark.parametrize("kills", [{1}, {3}, {5}, {1, 2, 3, 4, 5}])
def test_killed_after_any_call_the_push_goes_on(fleet: Any, hub: Any, kills: set[int]) -> None:
    """Nothing that was answered is sent again; what was committed is there after the kill."""
    for number, step in enumerate(STEPS, start=1):
        answer = step(hub)
        assert answer.status_code == 200, answer.text
        if number in kills:
            hub.restart()
    assert put_manifest(hub).json()["state"] == "merged"
    hub.wait_until(lambda: found(hub) == ["m2"])
    verified = httpx.get(f"{hub.url}/v1/verify", timeout=60).json()
    assert (verified["ok"], verified["problems"]) == (True, [])


def test_a_body_that_ends_early_leaves_nothing(fleet: Any, hub: Any) -> None:
    put_manifest(hub)
    host, port = hub.url.removeprefix("http://").split(":")
    head = (
        f"PUT /v1/push/a/1/batches/1 HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: {PARQUET}\r\n"
        f"X-Content-Sha256: {'0' * 64}\r\nX-Manifest-Sha256: {sha256_hex(MANIFEST)}\r\n"
        f"X-Rows: 1\r\nContent-Length: 3000000\r\n\r\n"
    )
    parts = fleet.folder / "hub" / "pushed" / ".parts"
    with socket.create_connection((host, int(port))) as client:
        client.sendall(head.encode() + b"x" * 2_000_000)
        hub.wait_until(lambda: any(path.stat().st_size for path in parts.iterdir()))
    hub.wait_until(lambda: not list(parts.iterdir()))
    assert put_manifest(hub).json()["have"] == []
    assert [step(hub).status_code for step in STEPS] == [200] * len(STEPS)


def test_what_is_posted_is_embedded_without_a_poll(hub: Any, fleet: Any) -> None:
    fleet.extra["POLL_INTERVAL_S"] = "3600"
    hub.restart()
    memory = {"system": "a", "memory_id": "m", "text": "posted between two polls"}
    with httpx.Client(base_url=hub.url) as client:
        client.post("/v1/memories", json=memory).raise_for_status()
        hub.wait_until(lambda: client.get("/v1/status").json()["backlog"] == 0)
