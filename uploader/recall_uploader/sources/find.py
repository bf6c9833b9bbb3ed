"""Sources that have a known place: looked for, never created or changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from recall_uploader.sources.settings import SourceSettings

_SESSION_BUDDY = Path(".claude/data/reflection.duckdb")


@dataclass(frozen=True)
class Found:
    """`why` says in a few words how the place is known."""

    settings: SourceSettings
    why: str


def find_sources(home: Path, environ: Mapping[str, str]) -> list[Found]:
    """What is there, Session-Buddy's database first. One place under two names is found once."""
    found: dict[Path, Found] = {}
    for place in known_places(home, environ):
        path = place.settings.path
        if (_is_file if place.settings.type == "session-buddy" else _is_folder)(path):
            found.setdefault(path.resolve(), place)
    return list(found.values())


def known_places(home: Path, environ: Mapping[str, str]) -> Iterator[Found]:
    """Every place that is looked at, whatever is there."""
    memory = SourceSettings(path=home / _SESSION_BUDDY, type="session-buddy")
    yield Found(memory, "Session-Buddy's database")
    for folder, why in _projects(home, environ):
        yield Found(SourceSettings(path=folder, type="claude-code"), why)


def _projects(home: Path, environ: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    if configured := environ.get("CLAUDE_CONFIG_DIR"):
        named = Path(configured)
        if named.parts[:1] == ("~",):
            named = home.joinpath(*named.parts[1:])
        yield named / "projects", "Claude Code's transcripts, by CLAUDE_CONFIG_DIR"
        return
    yield home / ".claude/projects", "Claude Code's transcripts"
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    yield config / "claude/projects", "Claude Code's transcripts"


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False
