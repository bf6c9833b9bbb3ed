"""What the log looks like, and what is never in it, whatever a hub is asked to do."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
import structlog
from moto.server import ThreadedMotoServer

from recall_daemon import logs
from recall_daemon.serve.push import PARQUET
from recall_wire import layout
from recall_wire.buckets import S3Options, open_bucket
from recall_wire.manifest import Head, sha256_hex
from recall_wire.records import Record

TEXT = "canary-of-a-text"
SECRETS = ("CANARYKEYID0000", "canary-secret-key")
TOKEN = "rct_0123456789ab_" + "canary-token-000000000000000000000000000000"


@pytest.fixture
def set_up() -> Iterator[None]:
    before, root, level = structlog.get_config(), logging.getLogger(), logging.getLogger().level
    handlers = list(root.handlers)
    yield
    structlog.configure(**before)
    logging.captureWarnings(False)
    root.handlers = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("set_up")
def test_every_line_is_one_json_event_also_of_libraries(
    capfd: pytest.CaptureFixture[str],
) -> None:
    logs.set_up("info")
    logs.set_up("info")
    log = structlog.get_logger()
    with structlog.contextvars.bound_contextvars(request_id="r1"):
        log.info("one", said="two\nlines", token=f"Bearer {TOKEN}")
        logging.getLogger("a.library").warning("a socket %s", "broke")
    log.debug("not this")
    logging.getLogger("botocore.auth").info("nor a library's %s", "header")
    try:
        secret_of_a_frame = TEXT
        raise RuntimeError(f"broke at {TEXT!r}")
    except RuntimeError:
        log.exception("failed")
    with warnings.catch_warnings(action="always"):
        warnings.warn("deprecated", UserWarning, stacklevel=1)
    logs.set_level("error")
    log.warning("nor this any more")
    assert secret_of_a_frame
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [line["event"].split("\n")[0][:10] for line in lines[:3]] == [
        *("one", "a socket b", "failed")
    ]
    assert len(lines) == 4
    assert "deprecated" in lines[3]["event"]
    assert lines[0]["said"] == "two\nlines"
    assert lines[0]["token"] == "Bearer rct_0123456789ab_…"
    assert {line["request_id"] for line in lines[:2]} == {"r1"}
    assert lines[1]["logger"] == "a.library"
    assert "RuntimeError: broke at '…'" in lines[2]["exception"]
    assert TEXT not in json.dumps(lines)
    assert all(line["level"] and line["timestamp"] for line in lines)


@pytest.fixture
def bucket() -> Iterator[dict[str, str]]:
    """A real S3 server, whose credentials are secrets to look for."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    keys = {"aws_access_key_id": SECRETS[0], "aws_secret_access_key": SECRETS[1]}
    boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys).create_bucket(
        Bucket="memories"
    )
    yield {
        "RECALLD_BUCKET_URL": "s3://memories",
        "RECALLD_S3_ENDPOINT_URL": url,
        "RECALLD_S3_REGION": "us-east-1",
        "RECALLD_S3_ACCESS_KEY_ID": SECRETS[0],
        "RECALLD_S3_SECRET_ACCESS_KEY": SECRETS[1],
    }
    server.stop()


def publish(publisher: Any, environment: dict[str, str]) -> None:
    """One snapshot that is well, and several that are not, each with the text inside."""
    options = S3Options(environment["RECALLD_S3_ENDPOINT_URL"], "us-east-1", SECRETS[0], SECRETS[1])
    remote = open_bucket("s3://memories", options)
    wrong = {
        "bad-json": [Record("m", text=TEXT, metadata=f'{{"{TEXT}')],
        "bad-kind": [Record("m", text=TEXT, kind=TEXT)],  # type: ignore[arg-type]
        "well": [Record("m", text=TEXT, project="p"), Record("n", text=f"again {TEXT}")],
        "other": [Record("m", text=TEXT, target_system="well")],
    }
    for system_id, records in wrong.items():
        manifest, data = publisher.manifest(system_id, 1, records)
        remote.put(layout.data_key(system_id, 1, manifest.files[0].name), data)
        commit(remote, system_id, manifest.to_bytes())
    commit(remote, "no-manifest", TEXT.encode())
    remote.put(layout.SYSTEMS + "bare/notes.parquet", TEXT.encode())
    remote.close()


def push(http: httpx.Client, publisher: Any) -> Any:
    """A snapshot over HTTP, as an instance does while its bucket is away."""
    records = [Record("m", text=TEXT)]
    manifest, data = publisher.manifest("pushing", 1, records)
    body, digest = manifest.to_bytes(), sha256_hex(manifest.to_bytes())
    json_type = {"content-type": "application/json"}
    http.put("/v1/push/pushing/1", content=body, headers=json_type).raise_for_status()
    headers = {
        "content-type": PARQUET,
        "x-content-sha256": sha256_hex(data),
        "x-manifest-sha256": digest,
        "x-rows": "1",
    }
    http.put("/v1/push/pushing/1/batches/1", content=data, headers=headers).raise_for_status()
    committed = {"manifest_sha256": digest, "batches": [sha256_hex(data)]}
    return http.post("/v1/push/pushing/1/commit", json=committed).json()


def commit(remote: Any, system_id: str, manifest: bytes) -> None:
    remote.put(layout.manifest_key(system_id, 1), manifest)
    head = Head(seq=1, manifest_sha256=sha256_hex(manifest), machine="m")
    remote.put(layout.head_key(system_id), head.to_bytes())


@contextlib.contextmanager
def running(folder: Path, environment: dict[str, str]) -> Iterator[tuple[str, Path]]:
    """`recalld run` with its address, and the file with all that it says on both streams."""
    said = folder / "said.log"
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("RECALL", "AWS_"))}
    own = {
        "RECALLD_DATA_DIR": str(folder / "hub"),
        "RECALLD_EMBEDDER": "hash",
        "RECALLD_HTTP_PORT": "0",
        "RECALLD_POLL_INTERVAL_S": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with said.open("w") as errors:
        process = subprocess.Popen(
            [Path(sys.executable).parent / "recalld", "run"],
            env=clean | own | environment,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        assert process.stdout is not None
        try:
            assert select.select([process.stdout], [], [], 60)[0], said.read_text()
            line = process.stdout.readline()
            yield line.split()[-1], said
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
            process.stdout.close()


def test_no_text_and_no_secret_is_logged(
    tmp_path: Path, bucket: dict[str, str], publisher: Any
) -> None:
    publish(publisher, bucket)
    with running(tmp_path, bucket) as (url, said), httpx.Client(base_url=url, timeout=60) as http:
        for _ in range(3_000):
            systems = http.get("/v1/status").json()["systems"]
            kept = {system["system_id"] for system in systems if system["quarantined"]}
            if kept >= {"bad-kind", "other", "no-manifest", "bad-json"}:
                break
        else:
            raise AssertionError(systems)
        local = (tmp_path / "hub" / "local.token").read_text().strip()
        created = http.post("/v1/tokens", json={"role": "admin", "name": "n"})
        assert created.is_success, created.text
        token = created.json()["token"]
        assert http.post("/v1/search", json={"query": TEXT}).status_code == 401
        wrong = {"authorization": f"Bearer {TOKEN}"}
        assert http.get(f"/v1/status?token={token}&q={TEXT}", headers=wrong).status_code == 401
        http.headers["authorization"] = f"Bearer {token}"
        assert push(http, publisher)["status"] == "merged"
        for path, body, status in [
            ("/v1/search", {"query": TEXT}, 200),
            ("/v1/search", {"query": TEXT, "mode": TEXT}, 422),
            ("/v1/search", {TEXT: 1}, 422),
            ("/v1/quarantine/bad-kind/1/retry", {}, 200),
            ("/v1/memories", {"text": TEXT, "metadata": {"source": "s"}}, 200),
            ("/mcp/store_memory", {"memory_id": "x", "text": TEXT}, 200),
            ("/v1/forget", {"query": TEXT, "system": "well"}, 200),
            ("/v1/forget", {"ids": ["m"], "system": "pushing"}, 200),
            ("/v1/forget", {"ids": ["m"], "because": TEXT}, 422),
        ]:
            answer = http.post(path, json=body)
            assert answer.status_code == status, f"{path}: {answer.text}"
        assert http.get("/v1/status").json()["systems"]
    text = said.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert {"hub.started", "request", "snapshot.merged"} <= {line["event"] for line in lines}
    assert len([line for line in lines if line["event"] == "request"]) >= 12
    for secret in (TEXT, *SECRETS, token, token.split("_", 2)[2], TOKEN, local):
        assert secret not in text, [line for line in lines if secret in json.dumps(line)]
