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
    memory = home / _SESSION_BUDDY
    if _is_file(memory):
        settings = SourceSettings(path=memory, type="session-buddy")
        found[memory.resolve()] = Found(settings, "Session-Buddy's database")
    for folder, why in _projects(home, environ):
        if _is_folder(folder):
            settings = SourceSettings(path=folder, type="claude-code")
            found.setdefault(folder.resolve(), Found(settings, why))
    return list(found.values())


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
