"""Which paths concern a set of sources."""

from __future__ import annotations

from pathlib import Path

from recall_uploader.sources.settings import SourceSettings
from recall_uploader.watch.targets import Targets


def test_a_file_is_watched_by_its_parent_with_its_logs(tmp_path: Path) -> None:
    targets = Targets.of([SourceSettings(path=tmp_path / "memories.duckdb")])
    assert targets.folders == frozenset()
    assert str(tmp_path) in targets.parents
    for name in ("memories.duckdb", "memories.duckdb.wal", "memories.duckdb-wal"):
        assert targets.concerns(str(tmp_path / name))
    assert not targets.concerns(str(tmp_path / "other.duckdb"))
    assert not targets.concerns(str(tmp_path / "deep/memories.duckdb"))


def test_a_folder_is_watched_whole(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    targets = Targets.of([SourceSettings(path=notes)])
    assert (targets.files, targets.folders) == (frozenset(), frozenset({str(notes)}))
    assert targets.concerns(str(notes / "deep/a.md"))
    assert not targets.concerns(str(tmp_path / "notes-2/a.md"))


def test_a_link_is_watched_where_it_leads(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (real / "memories.duckdb").touch()
    link = tmp_path / "link.duckdb"
    link.symlink_to(real / "memories.duckdb")
    targets = Targets.of([SourceSettings(path=link)])
    assert {str(tmp_path), str(real)} <= targets.parents
    assert targets.concerns(str(real / "memories.duckdb.wal"))


def test_what_is_not_there_yet_is_left_to_a_later_look(tmp_path: Path) -> None:
    source = SourceSettings(path=tmp_path / "later/memories.duckdb")
    assert Targets.of([source]).parents == frozenset()
    (tmp_path / "later").mkdir()
    assert str(tmp_path / "later") in Targets.of([source]).parents
