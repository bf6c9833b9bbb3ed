"""The command line as a person and a script meet it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from recall_uploader import state
from recall_uploader.cli import run

HEAVY = ("pyarrow", "duckdb", "boto3", "botocore", "pydantic", "rich.progress")


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("RECALL_")]:
        monkeypatch.delenv(name)
    (tmp_path / "bucket").mkdir(exist_ok=True)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RECALL_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("RECALL_BUCKET_URL", (tmp_path / "bucket").as_uri())
    monkeypatch.setenv("RECALL_SYSTEM_ID", "laptop")
    monkeypatch.setenv("RECALL_MAX_RETRIES", "0")


def test_upload_prints_one_json_object_with_the_promised_names(
    database: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["upload", str(database.path), "--json"]) == 0

    out, err = capsys.readouterr()
    answer = json.loads(out)
    assert list(answer)[:7] == ["status", "method", "system_id", "seq", "rows", "deletes", "bytes"]
    assert (answer["status"], answer["seq"], answer["rows"]) == ("committed", 1, 10)
    assert err == ""

    assert run(["upload", str(database.path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "unchanged"


def test_people_read_a_sentence(database: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["upload", str(database.path), "--dry-run"]) == 0
    assert capsys.readouterr().out == "laptop: would send 10 rows, from snapshot 1 on\n"
    assert run(["upload", str(database.path)]) == 0
    assert capsys.readouterr().out.startswith("laptop: delivered up to snapshot 1: 10 rows, ")
    assert run(["forget", "m0001", "m0002"]) == 0
    assert "2 rows, 2 of them deletes" in capsys.readouterr().out
    assert run(["init"]) == 0
    assert capsys.readouterr().out == "laptop: ready, the next snapshot is 3\n"
    assert run(["init", "--adopt"]) == 0


def test_the_source_may_come_from_the_settings(
    database: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "my.yaml"
    config.write_text(f"source: {database.path}\n")
    assert run(["upload", "--config", str(config)]) == 0
    assert "10 rows" in capsys.readouterr().out


def test_queued_has_an_exit_code_of_its_own(
    database: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["upload", str(database.path)]) == 0
    database.add(11, 11)
    capsys.readouterr()
    folder = os.environ["RECALL_BUCKET_URL"]
    monkeypatch.setenv("RECALL_BUCKET_URL", "s3://memories")
    monkeypatch.setenv("RECALL_S3_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("RECALL_S3_REGION", "us-east-1")
    monkeypatch.setenv("RECALL_S3_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("RECALL_S3_SECRET_ACCESS_KEY", "secret")

    code = run(["upload", str(database.path), "--json"])

    out, err = capsys.readouterr()
    assert (code, json.loads(out)["status"]) == (3, "queued")
    assert "wait in the outbox" in err
    monkeypatch.setenv("RECALL_BUCKET_URL", folder)
    assert run(["upload", str(database.path)]) == 0
    assert "snapshot 2: 1 rows" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["upload"], "no source is named"),
        (["upload", "/does/not/exist.duckdb"], "exist.duckdb"),
        (["upload", "/usr/bin"], "holds neither transcripts nor Markdown notes"),
        (["upload", "--nope"], "--nope"),
        (["upload", "a.duckdb", "--config", "/no/such.yaml"], "such.yaml"),
        (["forget"], "no memory is named"),
        (["nonsense"], "nonsense"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("recall: ")
    assert says in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RECALL_SYSTEM_ID", "../../heads/other"),
        ("RECALL_BUCKET_URL", "http://example.com"),
        ("RECALL_BUKET_URL", "file:///tmp"),
        ("RECALL_TIME_ZONE", "Mars/Olympus"),
    ],
)
def test_bad_settings_are_one_sentence(
    name: str,
    value: str,
    database: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(name, value)

    assert run(["upload", str(database.path)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("recall: ")
    assert err.count("\n") == 1


def test_no_bucket_is_one_sentence(
    database: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RECALL_BUCKET_URL")
    assert run(["upload", str(database.path)]) == 2
    assert "no bucket is set" in capsys.readouterr().err


def test_ctrl_c_is_one_sentence(
    database: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("recall_uploader.upload.upload", interrupted)
    assert run(["upload", str(database.path)]) == 130
    assert capsys.readouterr().err == "recall: interrupted; the next run goes on from here\n"


def test_a_full_disk_is_one_sentence(
    database: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "/state/tmp/part")

    monkeypatch.setattr("recall_uploader.durable.write_file", full)
    assert run(["upload", str(database.path)]) == 1
    assert capsys.readouterr().err == "recall: /state/tmp/part: No space left on device\n"


def test_a_state_that_cannot_be_written_is_one_sentence_and_no_number_is_used_twice(
    database: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], view: Any
) -> None:
    assert run(["upload", str(database.path)]) == 0
    database.add(11, 2000)
    capsys.readouterr()
    connect = state.connect

    def full(address: str) -> sqlite3.Connection:
        connection = connect(address)
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(state, "connect", full)
        assert run(["upload", str(database.path)]) == 3
    assert capsys.readouterr().err == (
        "recall: the state file cannot be written: database or disk is full; see to the disk and "
        "its permissions, and run it again\n"
    )
    assert view.seqs() == [1]

    assert run(["upload", str(database.path)]) == 0
    assert run(["forget", "m0001"]) == 0
    assert view.seqs() == [1, 2, 3]
    assert len(view.records()) == 2001


def test_a_state_that_cannot_be_read_is_one_sentence(
    database: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr("recall_uploader.diff.Diff.scan", broken)
    assert run(["upload", str(database.path)]) == 1
    assert capsys.readouterr().err == "recall: the state file: disk I/O error\n"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["upload", "--help"], []])
def test_help_is_light(arguments: list[str]) -> None:
    script = (
        "import sys\nfrom recall_uploader.cli import run\n"
        f"code = run({arguments!r})\n"
        f"print('|', code, [m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr.strip() == "| 0 []"
    assert done.stdout
