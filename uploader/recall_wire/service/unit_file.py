"""Service files on the disk: written and removed, but never one that somebody edited."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from recall_wire.errors import SettingsInvalid
from recall_wire.service.unit_text import is_marked, is_unedited

UnitState = Literal["absent", "installed", "edited", "foreign"]


@dataclass(frozen=True, slots=True)
class UnitFolder:
    """Where service files lie."""

    path: Path

    def state(self, name: str) -> UnitState:
        """`edited`: ours, changed by hand; `foreign`: never ours, or a link."""
        path = self.path / name
        if not os.path.lexists(path):
            return "absent"
        text = _text(path)
        if text is None or not is_marked(text):
            return "foreign"
        return "installed" if is_unedited(text) else "edited"

    def write(self, units: Mapping[str, str], *, force: bool) -> list[str]:
        """Returns the names of those that changed. Raises `SettingsInvalid`, with nothing
        written, where one is not as it was installed; `force` keeps that one beside it."""
        changed = [name for name, text in units.items() if _text(self.path / name) != text]
        others = [name for name in changed if self.state(name) in ("edited", "foreign")]
        if others and not force:
            raise SettingsInvalid(
                f"{self.path / others[0]} was written or changed by hand",
                hint="`--force` replaces it and keeps it as *.bak",
            )
        self.path.mkdir(parents=True, exist_ok=True)
        for name in others:
            (self.path / name).replace(self.path / f"{name}.bak")
        for name in changed:
            self._write(name, units[name])
        if changed:
            _sync_folder(self.path)
        return changed

    def remove(self, name: str) -> bool:
        """True: it is gone, or was. A file that is not as it was installed is left."""
        state = self.state(name)
        if state == "installed":
            (self.path / name).unlink()
            _sync_folder(self.path)
        return state in ("absent", "installed")

    def _write(self, name: str, text: str) -> None:
        part = self.path / f".{name}.part"
        part.write_text(text, encoding="utf-8")
        part.replace(self.path / name)


def _text(path: Path) -> str | None:
    """None: absent, a link, or nothing that can be read as text."""
    try:
        return None if path.is_symlink() else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _sync_folder(path: Path) -> None:
    """Returns when the folder's entries are on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
