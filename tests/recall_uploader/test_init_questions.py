"""Three questions, each checked at once; flags in their place; and what is written then."""

from __future__ import annotations

import io
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from recall_uploader.cli import run
from recall_uploader.commands import init as command
from recall_uploader.places import places
from recall_uploader.questions import Questions
from recall_uploader.settings import UploaderSettings
from recall_uploader.sources.find import Found
from recall_uploader.sources.settings import SourceSettings
from recall_wire.errors import SettingsInvalid


@pytest.fixture(autouse=True)
def _at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("RECALL_", "AKOSHA_"))]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("CLAUDE_CONFIG_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config/recall/recall.yaml"


@pytest.fixture
def type_in(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A person at a terminal who types these lines."""

    def give(*lines: str) -> None:
        monkeypatch.setattr(command, "_is_terminal", lambda: True)
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))

    return give


def asked(*lines: str) -> tuple[Questions, list[str]]:
    said: list[str] = []
    answers: Iterator[str] = iter(lines)

    def ask(question: str) -> str:
        said.append(question)
        try:
            return next(answers)
        except StopIteration:
            raise EOFError from None

    return Questions(ask, said.append), said


def test_a_name_with_spaces_is_asked_for_again_with_one_that_would_do() -> None:
    questions, said = asked("my old laptop", "../x", "my-old-laptop")
    assert questions.system_id("host-1") == "my-old-laptop"
    assert "how about my-old-laptop?" in said[1]
    assert "how about x?" in said[3]


def test_an_empty_line_takes_the_default() -> None:
    questions, said = asked("")
    assert questions.system_id("host-1") == "host-1"
    assert said == ["What is this system called?\n[host-1]: "]


def test_a_bucket_of_the_wrong_form_is_asked_for_again() -> None:
    questions, said = asked(
        "http://x", "memories", "/mnt/nas/recall", "s3://k:geheim@bb", "s3://bb"
    )
    assert questions.bucket_url("file:///d") == "s3://bb"
    assert "did you mean file:///mnt/nas/recall?" in said[5]
    assert "geheim" not in " ".join(said[6:])


def test_sources_by_number_by_path_or_all(tmp_path: Path) -> None:
    notes = tmp_path / "my notes"
    notes.mkdir()
    (notes / "a.md").write_text("# a")
    found = [Found(SourceSettings(path=tmp_path / name, type="markdown"), name) for name in "ab"]

    assert asked("")[0].sources(found) is None
    assert asked("none")[0].sources(found) == []
    assert asked("2, 2")[0].sources(found) == [{"path": str(tmp_path / "b"), "type": "markdown"}]
    assert asked(str(notes))[0].sources(found) == [{"path": str(notes)}]
    questions, said = asked("3", "/no/such", "1")
    assert questions.sources(found) == [{"path": str(tmp_path / "a"), "type": "markdown"}]
    assert "there is no number 3" in said[3]
    assert "there is no file or folder /no/such" in said[5]


def test_the_end_of_the_input_writes_nothing(type_in: Any, file: Path) -> None:
    type_in("s3://bucket")
    assert run(["init"]) == 2
    assert not file.exists()
    with pytest.raises(SettingsInvalid, match="nothing was written"):
        asked()[0].system_id("x")


def test_a_person_answers_and_everything_works(
    type_in: Any, file: Path, notes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    type_in((tmp_path / "bucket").as_uri(), "my laptop", "my-laptop", str(notes))
    assert run(["init"]) == 0

    out, err = capsys.readouterr()
    assert out == "my-laptop: ready, the next snapshot is 1\n"
    assert "bucket" in err
    assert "recall hook install claude-code" in err
    assert yaml.safe_load(file.read_text()) == {
        "bucket_url": (tmp_path / "bucket").as_uri(),
        "system_id": "my-laptop",
        "sources": [{"path": str(notes)}],
    }
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert run(["upload"]) == 0
    assert "10 rows" in capsys.readouterr().out


def test_flags_ask_nothing_and_running_it_again_changes_nothing(
    file: Path, notes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket = (tmp_path / "bucket").as_uri()
    flags = ["--bucket-url", bucket, "--system-id", "build-7", "--source", str(notes), "--json"]
    assert run(["init", *flags]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["changed"] == ["bucket_url", "sources", "system_id"]
    assert (answer["system_id"], answer["next_seq"]) == ("build-7", 1)
    assert {check["level"] for check in answer["checks"]} <= {"ok", "note"}
    written = file.read_text()

    assert run(["init", *flags]) == 0
    again = json.loads(capsys.readouterr().out)
    assert (again["changed"], again["instance_id"]) == ([], answer["instance_id"])
    assert file.read_text() == written


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--system-id", "my laptop"], "how about my-laptop?"),
        (["--bucket-url", "memories"], "is not a bucket URL"),
        (["--source", "/no/such"], "there is no file or folder"),
        (["--hub-url", "nope"], "hub_url"),
        (["--s3-endpoint-url", "ftp://x"], "s3_endpoint_url"),
    ],
)
def test_a_wrong_flag_is_one_sentence_and_nothing_is_written(
    flags: list[str], says: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["init", "--yes", *flags]) == 2
    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1
    assert not file.exists()


def test_another_name_than_the_states_is_refused_before_anything_is_written(
    file: Path, notes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket = (tmp_path / "bucket").as_uri()
    assert run(["init", "--yes", "--bucket-url", bucket, "--system-id", "one"]) == 0
    written = file.read_text()
    capsys.readouterr()
    assert run(["init", "--yes", "--system-id", "two"]) == 2
    assert "belongs to system one, and two is wanted" in capsys.readouterr().err
    assert file.read_text() == written


def test_no_credential_is_written_and_where_they_belong_is_said(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECALL_S3_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("RECALL_S3_SECRET_ACCESS_KEY", "geheim-geheim")
    monkeypatch.setenv("RECALL_MAX_RETRIES", "0")
    flags = ["--bucket-url", "s3://memories", "--s3-endpoint-url", "http://127.0.0.1:9"]
    assert run(["init", "--yes", *flags]) == 3  # the bucket is away: run it again
    out, err = capsys.readouterr()
    assert "RECALL_S3_SECRET_ACCESS_KEY in the environment" in err
    assert "PROBLEM: " in err
    assert "geheim" not in file.read_text() + out + err


def test_what_the_environment_says_goes_before_the_file_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECALL_SYSTEM_ID", "laptop")
    bucket = (tmp_path / "bucket").as_uri()
    assert run(["init", "--yes", "--bucket-url", bucket, "--system-id", "laptop"]) == 0
    assert "RECALL_SYSTEM_ID is set in the environment" in capsys.readouterr().err


def test_a_copied_state_folder_is_not_said_to_be_ready(
    notes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket = (tmp_path / "bucket").as_uri()
    flags = ["--yes", "--bucket-url", bucket, "--system-id", "laptop", "--source", str(notes)]
    assert run(["init", *flags]) == 0
    assert run(["upload"]) == 0
    shutil.copytree(tmp_path / "data/recall", tmp_path / "copy")
    notes.write_text(notes.read_text() + '{"memory_id": "new", "text": "one"}\n')
    assert run(["upload"]) == 0
    shutil.rmtree(tmp_path / "data/recall")
    shutil.move(tmp_path / "copy", tmp_path / "data/recall")
    capsys.readouterr()

    assert run(["init", "--yes"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "recall init --adopt" in err
    assert run(["init", "--adopt"]) == 0
    assert capsys.readouterr().out == "laptop: ready, the next snapshot is 3\n"


def test_sources_says_which_are_read_and_why_not(
    notes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".claude/projects").mkdir(parents=True)
    known = places(UploaderSettings(), tmp_path, {})
    assert [(Path(p.path).name, p.taken) for p in known] == [
        ("reflection.duckdb", False),
        ("projects", True),
        ("projects", False),
    ]
    assert known[0].why.endswith("nothing is there")

    listed = places(UploaderSettings(source=notes), tmp_path, {})
    assert [(p.taken, p.configured) for p in listed] == [(True, True), (False, False)]
    assert "the settings name other sources" in listed[1].why
    missing = places(UploaderSettings(source=tmp_path / "gone"), tmp_path, {})
    assert "but there is no file or folder" in missing[0].why

    assert run(["sources", "--json"]) == 0
    assert [item["taken"] for item in json.loads(capsys.readouterr().out)] == [False, True, False]
    assert run(["sources"]) == 0
    assert "nothing is there" in capsys.readouterr().out


def test_doctor_and_status_print_json(
    notes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(["doctor", "--json"]) == 2
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is False
    assert list(answer["checks"][0]) == ["check", "level", "says", "remedy"]
    assert run(["status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "none"
    monkeypatch.setenv("RECALL_NOPE", "1")
    assert run(["doctor"]) == 2
    assert "RECALL_NOPE names no setting" in capsys.readouterr().out
