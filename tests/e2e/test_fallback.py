"""The bucket away, the hub there: pushed instead, and the same snapshots in the bucket later."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

ROWS: dict[str, str | None] = {f"m{n}": f"decision {n} about caches" for n in range(6)}
DEAD = {
    "BUCKET_URL": "s3://memories",
    "S3_ENDPOINT_URL": "http://127.0.0.1:9",
    "S3_REGION": "us-east-1",
    "S3_ACCESS_KEY_ID": "key",
    "S3_SECRET_ACCESS_KEY": "secret",
    "RETRY_BACKOFF_S": "0",
}


@pytest.fixture
def recall(fleet: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run `recall` with further settings; returns its exit code and what it printed."""

    def run(*arguments: str, code: int = 0, **settings: str) -> Any:
        own = fleet.environment

        def environment(*names: str) -> dict[str, str]:
            return {**own(*names), **{f"RECALL_{key}": value for key, value in settings.items()}}

        with monkeypatch.context() as patch:
            patch.setattr(fleet, "environment", environment)
            return fleet.run("recall", *arguments, system_id="laptop", code=code)

    return run


def upload(recall: Any, source: Path, *options: str, code: int = 0, **settings: str) -> Any:
    ran = recall("upload", str(source), *options, "--json", code=code, **settings)
    return json.loads(ran.stdout)


def rows_of(fleet: Any, hub: str) -> tuple[int, str]:
    status = fleet.json("recalld", "status", hub=hub)
    verified = fleet.json("recalld", "verify", hub=hub)
    assert verified["ok"], verified["problems"]
    return status["rows"], verified["logical_hash"]


def test_pushed_instead_then_in_the_bucket_and_never_twice(
    fleet: Any, hub: Any, recall: Any, write_db: Any, tmp_path: Path
) -> None:
    source = tmp_path / "memories.duckdb"
    write_db(source, ROWS)
    away = {**DEAD, "HUB_URL": hub.url, "DELETES": "propagate"}

    first = upload(recall, source, code=4, **away)
    assert (first["status"], first["method"], first["rows"]) == ("pushed", "http", 6)
    hits = fleet.json("recalld", "search", "decision 3 about caches")["hits"]
    assert "m3" in [hit["memory_id"] for hit in hits]

    write_db(source, {**ROWS, "m1": "the decision was changed", "m6": "a new one"})
    upload(recall, source, code=4, **away)
    write_db(source, {**ROWS, "m1": "the decision was changed"})
    deleted = upload(recall, source, "--confirm-deletes", code=4, **away)
    assert (deleted["rows"], deleted["deletes"]) == (1, 1)
    forgotten = json.loads(recall("forget", "m5", "--json", code=4, **away).stdout)
    assert (forgotten["seq"], forgotten["deletes"]) == (4, 1)
    assert fleet.json("recalld", "status")["rows"] == 5

    back = upload(recall, source, HUB_URL=hub.url, DELETES="propagate")
    assert (back["status"], back["method"], back["seq"]) == ("committed", "cloud", 4)
    hub.kill()
    merged = fleet.json("recalld", "once")
    assert (merged["merged"], merged["changed_rows"]) == (0, 0)

    fleet.run("recalld", "once", hub="from-the-bucket")
    assert rows_of(fleet, "hub") == rows_of(fleet, "from-the-bucket") == (5, _hash(fleet))


def _hash(fleet: Any) -> str:
    return str(fleet.json("recalld", "verify")["logical_hash"])


def test_without_any_bucket_the_hub_alone_serves(
    fleet: Any, hub: Any, recall: Any, write_db: Any, tmp_path: Path
) -> None:
    source = tmp_path / "memories.duckdb"
    write_db(source, ROWS)
    only = {"BUCKET_URL": "", "HUB_URL": hub.url}
    assert upload(recall, source, **only)["status"] == "pushed"
    assert upload(recall, source, **only)["status"] == "unchanged"
    assert fleet.json("recalld", "status")["rows"] == 6
    assert recall("outbox", "list", **only).stdout == "the outbox is empty\n"


def test_with_both_away_it_waits_and_is_drained_by_either(
    fleet: Any, hub: Any, recall: Any, write_db: Any, tmp_path: Path
) -> None:
    source = tmp_path / "memories.duckdb"
    write_db(source, ROWS)
    nobody = {**DEAD, "HUB_URL": "http://127.0.0.1:9"}
    recall("upload", str(source), code=3, **nobody)
    upload(recall, source, HUB_URL=hub.url)
    write_db(source, {**ROWS, "m6": "a new one"})
    assert upload(recall, source, code=3, **nobody)["status"] == "queued"

    drained = json.loads(
        recall("outbox", "drain", "--json", code=4, **{**DEAD, "HUB_URL": hub.url}).stdout
    )
    assert (drained["status"], drained["seq"]) == ("pushed", 2)
    assert recall("outbox", "drain").stdout.startswith("laptop: delivered up to snapshot 2: 1 rows")
    assert recall("outbox", "list").stdout == "the outbox is empty\n"
    assert json.loads(recall("outbox", "show", "2").stdout)["seq"] == 2


def test_a_raw_database_is_one_snapshot_whichever_way_it_came(
    fleet: Any, hub: Any, recall: Any, write_db: Any, tmp_path: Path
) -> None:
    source = tmp_path / "memories.duckdb"
    write_db(source, ROWS)
    away = {**DEAD, "HUB_URL": hub.url}
    pushed = recall("upload", str(source), "--raw", "--json", code=4, **away)
    assert json.loads(pushed.stdout)["status"] == "pushed"
    assert fleet.json("recalld", "status")["rows"] == 6

    recall("upload", str(source), "--raw", HUB_URL=hub.url)
    hub.kill()
    assert fleet.json("recalld", "once")["changed_rows"] == 0
    fleet.run("recalld", "once", hub="from-the-bucket")
    assert rows_of(fleet, "hub") == rows_of(fleet, "from-the-bucket")
