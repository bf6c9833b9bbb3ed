"""What came of the uploads."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from recall_uploader.hook.log import MAX_BYTES, Log


def at_noon() -> datetime:
    return datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_line_is_one_line_that_only_its_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "hook.log"
    log = Log(path, at_noon)
    log.say("two\nlines \x1b[31m and \udcff")
    log.say("x" * 10_000)
    first, second = path.read_text().splitlines()
    assert first == "2026-03-01T12:00:00Z two lines [31m and"
    assert len(second) == len("2026-03-01T12:00:00Z ") + 2000
    assert path.stat().st_mode & 0o777 == 0o600


def test_it_is_bounded_and_one_old_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "hook.log"
    old = tmp_path / "hook.log.1"
    old.write_text("older")
    path.write_text("x" * MAX_BYTES)
    Log(path, at_noon).say("new")
    assert path.read_text() == "2026-03-01T12:00:00Z new\n"
    assert old.stat().st_size == MAX_BYTES
    assert sorted(tmp_path.iterdir()) == [path, old]


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "hook.log").mkdir()
    Log(tmp_path / "hook.log").say("lost")
    Log(tmp_path / "absent" / "hook.log").say("lost")
    assert list(tmp_path.iterdir()) == [tmp_path / "hook.log"]
