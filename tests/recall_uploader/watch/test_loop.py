"""Uploads at the start, at changes, and every so often; what fails is said once and tried again."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from recall_uploader.result import UploadResult
from recall_uploader.sources.settings import SourceSettings
from recall_uploader.watch.loop import Watch
from recall_wire.errors import BucketUnreachable, SettingsInvalid

WAIT_S = 60


def result(status: Any = "unchanged", *warnings: str, rows: int = 0) -> UploadResult:
    return UploadResult(status, "none", "laptop", 1, rows, 0, 0, warnings=warnings)


class Running:
    """A watch on a thread; `uploads` is released once for each upload."""

    def __init__(self, path: Path, **timing: float) -> None:
        self.uploads = threading.Semaphore(0)
        self.said: list[str] = []
        self.path = path
        self.outcome: Callable[[], UploadResult] = result
        timing = {"debounce_s": 0.1, "sweep_s": 3600.0, **timing}
        self.watch = Watch(self.sources, self.upload, self.said.append, **timing)
        self.thread = threading.Thread(target=self.watch.run)

    def sources(self) -> list[SourceSettings]:
        return [SourceSettings(path=self.path)]

    def upload(self) -> UploadResult:
        self.uploads.release()
        return self.outcome()

    def wait_for_upload(self) -> None:
        assert self.uploads.acquire(timeout=WAIT_S)

    def stop(self) -> None:
        self.watch.stop()
        self.thread.join(WAIT_S)
        assert not self.thread.is_alive()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def start(path: Path, outcome: Any = result, **timing: float) -> Running:
        made = Running(path, **timing)
        made.outcome = outcome
        started.append(made)
        made.thread.start()
        made.wait_for_upload()
        return made

    yield start
    for each in started:
        each.stop()


def until_noticed(running: Running, change: Callable[[], None]) -> None:
    """Change again until it is seen: the notices begin a moment after the first upload."""
    for _ in range(WAIT_S):
        change()
        if running.uploads.acquire(timeout=1):
            return
    raise AssertionError("the change was never noticed")


def test_a_change_of_a_file_or_of_its_log_uploads(running: Any, tmp_path: Path) -> None:
    source = tmp_path / "memories.duckdb"
    source.touch()
    watched = running(source)
    until_noticed(watched, lambda: source.write_bytes(b"new"))
    until_noticed(watched, lambda: source.with_name("memories.duckdb.wal").write_bytes(b"new"))


def test_a_change_deep_in_a_folder_uploads(running: Any, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    (notes / "deep").mkdir(parents=True)
    watched = running(notes)
    until_noticed(watched, lambda: (notes / "deep/a.md").write_text("new"))


def test_a_burst_of_changes_is_one_upload(running: Any, tmp_path: Path) -> None:
    source = tmp_path / "memories.duckdb"
    source.touch()
    watched = running(source, debounce_s=0.3)
    until_noticed(watched, lambda: source.write_bytes(b"x"))

    def burst() -> None:
        for number in range(200):
            source.write_bytes(str(number).encode())

    until_noticed(watched, burst)
    assert not watched.uploads.acquire(timeout=1)


def test_without_any_notice_it_sweeps(running: Any, tmp_path: Path) -> None:
    watched = running(tmp_path / "nothing/here.duckdb", sweep_s=0.1)
    watched.wait_for_upload()
    watched.wait_for_upload()


def test_a_source_that_comes_later_is_watched_from_the_next_look(
    running: Any, tmp_path: Path
) -> None:
    source = tmp_path / "later/memories.duckdb"
    watched = running(source, sweep_s=0.2)
    source.parent.mkdir()
    until_noticed(watched, lambda: source.write_bytes(b"new"))


def test_what_fails_is_said_once_and_tried_again(running: Any, tmp_path: Path) -> None:
    def fails() -> UploadResult:
        raise BucketUnreachable("nothing answers")

    watched = running(tmp_path / "a.duckdb", outcome=fails, sweep_s=0.05)
    for _ in range(3):
        watched.wait_for_upload()
    watched.stop()
    assert watched.said == ["nothing answers"]


def test_what_was_sent_is_said(running: Any, tmp_path: Path) -> None:
    watched = running(
        tmp_path / "a.duckdb", outcome=lambda: result("committed", "a warning", rows=3)
    )
    watched.stop()
    assert watched.said == ["a warning", "committed up to snapshot 1: 3 rows"]


def test_several_warnings_that_stay_are_said_once(running: Any, tmp_path: Path) -> None:
    watched = running(
        tmp_path / "a.duckdb", outcome=lambda: result("unchanged", "one", "two"), sweep_s=0.05
    )
    for _ in range(3):
        watched.wait_for_upload()
    watched.stop()
    assert watched.said == ["one", "two"]


@pytest.mark.parametrize("error", [OSError("the disk is gone"), sqlite3.OperationalError("full")])
def test_an_error_of_the_system_does_not_end_it(
    error: Exception, running: Any, tmp_path: Path
) -> None:
    def fails() -> UploadResult:
        raise error

    watched = running(tmp_path / "a.duckdb", outcome=fails, sweep_s=0.05)
    for _ in range(3):
        watched.wait_for_upload()
    watched.stop()
    assert watched.said == [str(error)]


def test_with_no_source_yet_it_waits_for_one(tmp_path: Path) -> None:
    def none() -> list[SourceSettings]:
        raise SettingsInvalid("no source is named")

    uploads = threading.Semaphore(0)

    def upload() -> UploadResult:
        uploads.release()
        raise SettingsInvalid("no source is named")

    said: list[str] = []
    watch = Watch(none, upload, said.append, debounce_s=0.1, sweep_s=0.05)
    thread = threading.Thread(target=watch.run)
    thread.start()
    for _ in range(3):
        assert uploads.acquire(timeout=WAIT_S)
    watch.stop()
    thread.join(WAIT_S)
    assert said == ["no source is named"]
