"""The child on its own: its limits, its environment, its manners on stdout."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recall_daemon.ingest import reader_child
from recall_daemon.ingest.reader_child import Request
from recall_daemon.ingest.validate import _environment

_COMMAND = [sys.executable, "-P", "-m", "recall_daemon.ingest.reader_child"]


def _request(tmp_path: Path, **values: Any) -> Request:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"memory_id": ["a", "b"], "text": ["x", "y" * 100_000]}), path)
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    request = {
        "files": [{"path": str(path), "format": "parquet", "rows": 2}],
        "contract": True,
        "embedding_dim": None,
        "time_zone": "UTC",
        "output": str(tmp_path / "rows.arrow"),
        "scratch": str(scratch),
        "max_rows": 1000,
        "max_bytes": 1 << 30,
        **values,
    }
    return request  # type: ignore[return-value]


def _ask(requests: list[Request], *, file_bytes: int = 1 << 30) -> list[dict[str, Any]]:
    done = subprocess.run(
        [*_COMMAND, str(2 << 30), str(file_bytes)],
        input="".join(json.dumps(request) + "\n" for request in requests),
        capture_output=True,
        text=True,
        check=True,
        env=_environment(),
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_one_answer_a_request(tmp_path: Path) -> None:
    bad = _request(tmp_path, output=str(tmp_path / "absent" / "rows.arrow"))
    good = _request(tmp_path)
    first, second, third = _ask([good, bad, good])
    assert first == third
    assert first == {
        "rows": 2,
        "upserts": 2,
        "min_time": None,
        "max_time": None,
        "warnings": [],
    }
    assert second["error"] == "invalid"


def test_it_writes_no_more_than_its_file_limit(tmp_path: Path) -> None:
    [answer] = _ask([_request(tmp_path)], file_bytes=50_000)
    assert (answer["error"], "more bytes" in answer["message"]) == ("limit", True)
    assert not list(tmp_path.glob("rows.arrow*"))


def test_a_full_disk_is_not_the_files_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(reader_child, "_write", full)
    answer = reader_child._answer(_request(tmp_path), 1 << 30)
    assert answer["error"] == "disk"
    assert not list(tmp_path.glob("rows.arrow*"))


@pytest.mark.parametrize("error", [MemoryError(), pa.ArrowMemoryError("x")])
def test_no_memory_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(reader_child, "_write", fail)
    assert reader_child._answer(_request(tmp_path), 1 << 30)["error"] == "limit"


def test_anything_else_is_said_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("two\nlines" * 500)

    monkeypatch.setattr(reader_child, "_write", fail)
    answer = reader_child._answer(_request(tmp_path), 1 << 30)
    assert answer["message"].startswith("it cannot be read: KeyError")
    assert "\n" not in answer["message"]
    assert len(answer["message"]) <= 500


def test_the_daemons_secrets_do_not_reach_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert not [name for name in _environment() if name.startswith(("AWS", "RECALL"))]


def test_a_parquet_file_takes_neither_duckdb_nor_pydantic(tmp_path: Path) -> None:
    code = (
        "import json, sys; from recall_daemon.ingest import reader_child as c; "
        "print(c._answer(json.loads(sys.argv[1]), 1 << 30)['rows'], "
        "[name for name in ('duckdb', 'pydantic') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, json.dumps(_request(tmp_path))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "2 []"


def test_limits_are_set_before_anything_is_read() -> None:
    code = (
        "import resource, sys; from recall_daemon.ingest import reader_child as c; "
        "c._limit(2 << 30, 1 << 20); print([resource.getrlimit(r) for r in "
        "(resource.RLIMIT_AS, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    expected = [(2 << 30, 2 << 30), (1 << 20, 1 << 20), (0, 0)]
    assert done.stdout.strip() == str(expected)
