"""Known places: only what is there, and nothing touched."""

from __future__ import annotations

from pathlib import Path

from recall_uploader.sources.find import find_sources


def found(home: Path, **environ: str) -> list[tuple[Path, str]]:
    return [(f.settings.path, f.settings.type) for f in find_sources(home, environ)]


def test_nothing_is_found_and_nothing_made(tmp_path: Path) -> None:
    assert found(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_the_usual_places(tmp_path: Path) -> None:
    database = tmp_path / ".claude/data/reflection.duckdb"
    projects = tmp_path / ".claude/projects"
    database.parent.mkdir(parents=True)
    projects.mkdir()
    database.touch()
    (tmp_path / ".config/claude").mkdir(parents=True)
    (tmp_path / ".config/claude/projects").symlink_to(projects)
    assert found(tmp_path) == [(database, "session-buddy"), (projects, "claude-code")]


def test_a_configured_folder_goes_before(tmp_path: Path) -> None:
    (tmp_path / ".claude/projects").mkdir(parents=True)
    (tmp_path / "other/projects").mkdir(parents=True)
    expected = [(tmp_path / "other/projects", "claude-code")]
    assert found(tmp_path, CLAUDE_CONFIG_DIR=str(tmp_path / "other")) == expected
    assert found(tmp_path, CLAUDE_CONFIG_DIR="~/other") == expected
    assert found(tmp_path, CLAUDE_CONFIG_DIR="/nowhere/at/all") == []


def test_a_file_where_a_folder_is_looked_for(tmp_path: Path) -> None:
    (tmp_path / ".claude").touch()
    assert found(tmp_path) == []
