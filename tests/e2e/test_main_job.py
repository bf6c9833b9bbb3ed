"""The main job: a database on an instance → bucket → hub → a search finds the memory."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest
from moto.server import ThreadedMotoServer

# What scripts rely on.
UPLOAD_KEYS = ["status", "method", "system_id", "seq", "rows", "deletes", "bytes"]
HIT_KEYS = [
    *("system_id", "memory_id", "kind", "text", "project", "session_id"),
    *("created_at", "tier", "score"),
]

TEXTS: dict[str, str | None] = {
    "c1": "The lighthouse keeper wrote the tide table by hand.",
    "r1": "Prefer explicit timeouts over defaults.",
    "c2": None,
    "r2": "",
    "c3": "NUL \0 inside, emoji 🙂, 中文 and combining e\u0301",
    "r3": "x" * 20_000 + " needle at the very end",
    "c4": "Naïve façade",
}


def check_hub(fleet: Any, expected: dict[str, str | None]) -> None:
    status = fleet.json("recalld", "status")
    assert status["rows"] == len(expected)
    assert status["backlog"] == 0
    answer = fleet.json("recalld", "search", "the lighthouse keeper wrote the tide table")
    assert answer["hits"][0]["memory_id"] == "c1"
    assert answer["hits"][0]["text"] == expected["c1"]
    needle = fleet.json("recalld", "search", "needle at the very end")["hits"][0]
    assert (needle["memory_id"], needle["text"]) == ("r3", expected["r3"])
    assert fleet.json("recalld", "verify")["ok"]


@pytest.mark.parametrize(
    ("version", "texts"),
    [
        ("", {**TEXTS, "r3": "x" * 5_000_000 + " needle at the very end"}),
        ("v1.2.0", TEXTS),
    ],
    ids=["newest", "v1.2.0"],
)
def test_every_row_arrives_and_is_found(
    fleet: Any, write_db: Any, tmp_path: Path, version: str, texts: dict[str, str | None]
) -> None:
    fleet.installed = not version
    write_db(tmp_path / "s.duckdb", texts, version=version)
    uploaded = fleet.upload("laptop", tmp_path / "s.duckdb")
    assert list(uploaded)[:7] == UPLOAD_KEYS
    assert (uploaded["status"], uploaded["rows"], uploaded["seq"]) == ("committed", len(texts), 1)

    fleet.run("recalld", "once")
    fleet.installed = False
    check_hub(fleet, texts)

    hit = fleet.json("recalld", "search", "lighthouse", "--system", "laptop")["hits"][0]
    assert list(hit)[: len(HIT_KEYS)] == HIT_KEYS
    assert fleet.json("recalld", "search", "lighthouse", "--system", "other")["hits"] == []
    assert fleet.json("recalld", "search", "lighthouse", "--until", "2020-01-01")["hits"] == []


def test_nothing_new_writes_nothing(fleet: Any, write_db: Any, tmp_path: Path) -> None:
    write_db(tmp_path / "s.duckdb", TEXTS)
    fleet.upload("laptop", tmp_path / "s.duckdb")
    fleet.run("recalld", "once")
    before = objects(tmp_path / "bucket")

    assert fleet.upload("laptop", tmp_path / "s.duckdb")["status"] == "unchanged"
    once = fleet.json("recalld", "once")
    assert (once["merged"], once["changed_rows"], once["pending"]) == (0, 0, 0)
    assert objects(tmp_path / "bucket") == before


def objects(bucket: Path) -> dict[str, int]:
    return {str(p): p.stat().st_mtime_ns for p in bucket.rglob("*") if p.is_file()}


def test_a_raw_database_and_a_bare_one_give_the_same_memories(
    fleet: Any, write_db: Any, tmp_path: Path
) -> None:
    source = tmp_path / "s.duckdb"
    write_db(source, TEXTS)
    assert fleet.upload("raw", source, "--raw")["status"] == "committed"
    bare = tmp_path / "bucket" / "systems" / "bare" / "memory.duckdb"
    bare.parent.mkdir(parents=True)
    bare.write_bytes(source.read_bytes())
    fleet.run("recalld", "once")

    systems = {s["system_id"]: s["rows"] for s in fleet.json("recalld", "systems")["systems"]}
    assert systems == {"raw": len(TEXTS), "bare": len(TEXTS)}
    hits = fleet.json("recalld", "search", "the lighthouse keeper wrote")["hits"]
    assert {witness["system_id"] for witness in hits[0]["witnesses"]} == {"raw", "bare"}


def test_a_forgotten_memory_stays_forgotten(fleet: Any, write_db: Any, tmp_path: Path) -> None:
    write_db(tmp_path / "s.duckdb", TEXTS)
    fleet.upload("laptop", tmp_path / "s.duckdb")
    fleet.run("recalld", "once")
    fleet.run("recall", "forget", "c1", system_id="laptop")
    fleet.upload("laptop", tmp_path / "s.duckdb", "--full")
    fleet.run("recalld", "once")

    hits = fleet.json("recalld", "search", "lighthouse keeper")["hits"]
    assert "c1" not in {hit["memory_id"] for hit in hits}
    assert fleet.json("recalld", "status")["rows"] == len(TEXTS) - 1


def test_a_bad_source_is_one_sentence_and_loses_nothing(
    fleet: Any, write_db: Any, tmp_path: Path
) -> None:
    source = tmp_path / "s.duckdb"
    source.write_bytes(b"this is no database at all, whatever its name says")
    done = fleet.run("recall", "upload", str(source), system_id="laptop", code=2)
    assert done.stderr.startswith("recall: ")
    assert done.stderr.count("\n") == 1

    write_db(source, TEXTS)
    assert fleet.upload("laptop", source)["seq"] == 1


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("RECALLD_BUCKETURL", "x", "did you mean RECALLD_BUCKET_URL"),
        ("RECALLD_POLL_INTERVAL_S", "soon", "poll_interval_s"),
        ("RECALLD_BUCKET_URL", "ftp://x", "ftp"),
        ("RECALLD_HTTP_HOST", "0.0.0.0", "not loopback"),
        ("RECALLD_CONFIG", "/nowhere.yaml", "/nowhere.yaml"),
    ],
)
def test_wrong_settings_are_one_sentence(
    fleet: Any, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    environment = fleet.environment()
    monkeypatch.setattr(fleet, "environment", lambda *_: environment | {variable: value})
    done = fleet.run("recalld", "run", code=2)

    assert words in done.stderr
    assert done.stderr.startswith("recalld: ")
    assert done.stderr.count("\n") == 1


@pytest.fixture
def running(fleet: Any, write_db: Any, tmp_path: Path) -> Any:
    """A daemon that polls every second, and its address."""
    write_db(tmp_path / "s.duckdb", TEXTS)
    environment = fleet.environment() | {"RECALLD_POLL_INTERVAL_S": "1"}
    daemon = subprocess.Popen(
        [Path(sys.executable).parent / "recalld", "run"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert daemon.stdout is not None
    line = daemon.stdout.readline()
    assert line.startswith("recalld answers at "), line
    yield daemon, line.split()[-1]
    daemon.kill()
    daemon.communicate()


def test_the_running_hub_answers_its_commands_through_its_port(
    running: Any, fleet: Any, tmp_path: Path
) -> None:
    daemon, url = running
    fleet.upload("laptop", tmp_path / "s.duckdb")
    until(lambda: all_there(fleet.json("recalld", "status")))
    check_hub(fleet, TEXTS)

    with httpx.Client(base_url=url, trust_env=False) as http:
        assert http.get("/healthz").json() == {"status": "alive"}
        ready = http.get("/readyz")
        assert (ready.status_code, ready.json()["ready"]) == (200, True)
        found = http.post("/v1/search", json={"query": "lighthouse", "limit": 1}).json()
        assert found["hits"][0]["memory_id"] == "c1"
        assert http.post("/v1/search", json={"query": ""}).status_code == 422
        wrong = http.post("/v1/search", json={"query": "x", "limti": 1}).json()
        assert (wrong["code"], wrong["status"]) == ("query_invalid", 422)
        stranger = http.get("/v1/status", headers={"Host": "evil.example"})
        assert stranger.status_code == 421
        page = {"Origin": "https://evil.example", "Content-Type": "text/plain"}
        assert http.post("/v1/search", content="{}", headers=page).status_code == 403

    refused = fleet.run("recalld", "once", code=3)
    assert "another recalld holds" in refused.stderr
    missing = fleet.run("recalld", "quarantine", "show", "laptop", "9", code=2)
    assert "not in quarantine" in missing.stderr

    daemon.send_signal(signal.SIGTERM)
    _, err = daemon.communicate(timeout=15)
    assert daemon.returncode == 0, err
    assert fleet.json("recalld", "status")["rows"] == len(TEXTS)


def test_told_to_stop_while_it_embeds_the_hub_stops_at_once(
    running: Any, fleet: Any, tmp_path: Path
) -> None:
    daemon, _ = running
    lines = [
        json.dumps({"memory_id": f"m{n}", "text": f"{n} " + "words of a long memory " * 100})
        for n in range(2000)
    ]
    (tmp_path / "long.jsonl").write_text("\n".join(lines))
    fleet.upload("busy", tmp_path / "long.jsonl")
    until(lambda: fleet.json("recalld", "status")["backlog"] > 0)

    daemon.send_signal(signal.SIGTERM)
    _, err = daemon.communicate(timeout=10)
    assert daemon.returncode == 0, err
    status = fleet.json("recalld", "status")
    assert (status["rows"], status["backlog"] > 0) == (2000, True)
    assert fleet.json("recalld", "verify")["ok"]


def all_there(status: Any) -> bool:
    return bool(status["rows"] == len(TEXTS) and status["backlog"] == 0)


def until(condition: Any, *, seconds: float = 60) -> None:
    """Wait for a condition that another process brings about."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"


def test_the_same_over_s3(write_db: Any, tmp_path: Path, fleet: Any) -> None:
    import boto3

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        keys = {"S3_ACCESS_KEY_ID": "test", "S3_SECRET_ACCESS_KEY": "test-secret"}
        client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test-secret",
        )
        bucket = f"memories-{uuid.uuid4().hex}"  # servers of one process share their buckets
        client.create_bucket(Bucket=bucket)
        cloud = type(fleet)(
            tmp_path / "cloud",
            bucket_url=f"s3://{bucket}/team",
            extra={"S3_ENDPOINT_URL": endpoint, "S3_REGION": "us-east-1"} | keys,
        )
        cloud.folder.mkdir()
        write_db(tmp_path / "s.duckdb", TEXTS)
        assert cloud.upload("laptop", tmp_path / "s.duckdb")["status"] == "committed"
        assert cloud.upload("laptop", tmp_path / "s.duckdb")["status"] == "unchanged"
        cloud.run("recalld", "once")
        check_hub(cloud, TEXTS)
        listed = client.list_objects_v2(Bucket=bucket)["Contents"]
        assert all(item["Key"].startswith("team/") for item in listed)
        assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)
        client.close()

        cloud.extra["S3_ENDPOINT_URL"] = "http://127.0.0.1:9"
        away = cloud.run("recalld", "once", code=3)
        assert "nothing answers" in away.stdout
    finally:
        server.stop()
