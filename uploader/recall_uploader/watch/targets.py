"""What to watch for a set of sources."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from recall_uploader.sources.settings import SourceSettings

# A database's writes are seen in its log first.
_LOGS = ("", ".wal", "-wal", "-journal")


@dataclass(frozen=True, slots=True)
class Targets:
    """`parents` are watched without what lies below them, `folders` with it.

    A file is watched by its parent, so that one that is replaced or made anew is seen, too.
    """

    files: frozenset[str]
    parents: frozenset[str]
    folders: frozenset[str]

    @classmethod
    def of(cls, sources: Iterable[SourceSettings]) -> Targets:
        """As they are now: what does not exist yet is found by a later look."""
        files: set[str] = set()
        parents: set[str] = set()
        folders: set[str] = set()
        for source in sources:
            path = source.path.expanduser().absolute()
            if path.is_dir():
                folders.add(str(path))
            elif path.parent.is_dir():
                files.update(_names(path))
                parents.update({str(path.parent), str(path.resolve().parent)})
        return cls(frozenset(files), frozenset(parents), frozenset(folders))

    def concerns(self, path: str) -> bool:
        """Whether a changed path is one of ours; everything under a folder is."""
        return path in self.files or any(
            Path(path).is_relative_to(folder) for folder in self.folders
        )


def _names(path: Path) -> set[str]:
    """The file and its logs, also under the name that a link leads to."""
    return {f"{name}{suffix}" for name in (path, path.resolve()) for suffix in _LOGS}
