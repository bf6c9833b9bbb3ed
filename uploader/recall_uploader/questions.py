"""What `recall init` asks a person: three questions, each with a default, checked at once."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from recall_uploader.sources.detect import content_of
from recall_uploader.sources.find import Found
from recall_wire.buckets.location import parse_url
from recall_wire.errors import RecallError, SettingsInvalid, UnsafeKey
from recall_wire.layout import check_system_id

Ask = Callable[[str], str]
Say = Callable[[str], None]
_T = TypeVar("_T")
_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Questions:
    """`ask` shows a text and returns the line that is typed; it raises `EOFError` at its end."""

    ask: Ask
    say: Say

    def bucket_url(self, default: str) -> str:
        return self._until(
            "Which bucket do snapshots go to? s3://bucket[/prefix] or file:///folder",
            default,
            bucket,
        )

    def system_id(self, default: str) -> str:
        return self._until("What is this system called?", default, system)

    def sources(self, found: Sequence[Found]) -> list[dict[str, Any]] | None:
        """Entries for `sources`; None: those in their known places, also later ones."""
        for number, item in enumerate(found, 1):
            self.say(f"{number}: {item.settings.path} ({item.why})")
        if not found:
            self.say("Nothing was found in a known place; it may come later.")
        question = "Which memories are uploaded? Numbers or paths with spaces between them"
        return self._until(question, "all", lambda said: chosen(said, found))

    def _until(self, question: str, default: str, check: Callable[[str], _T]) -> _T:
        """Ask until the answer passes. Raises `SettingsInvalid` at the end of the input."""
        while True:
            try:
                said = self.ask(f"{question}\n[{default}]: ").strip() or default
            except EOFError:
                raise SettingsInvalid(
                    "the questions were not answered, and nothing was written",
                    hint="run it again, or give flags: recall init --help",
                ) from None
            try:
                return check(said)
            except RecallError as error:
                self.say(str(error))


def bucket(url: str) -> str:
    """Raises `SettingsInvalid`; without the scheme, with what was probably meant."""
    try:
        parse_url(url)
    except SettingsInvalid as error:
        path = Path(url).expanduser()
        if path.is_absolute() and "://" not in url:
            raise SettingsInvalid(
                "a bucket is named by a URL", hint=f"did you mean {path.as_uri()}?"
            ) from error
        raise
    return url


def system(system_id: str) -> str:
    """Raises `UnsafeKey`, with a name that would do."""
    try:
        return check_system_id(system_id)
    except UnsafeKey as error:
        slug = _NOT_ALLOWED.sub("-", system_id).strip("._-")[:100]
        hint = f"how about {slug}?" if slug else error.hint
        raise UnsafeKey(
            "a system's name has letters, digits and . _ - alone, at most 100", hint=hint
        ) from error


def chosen(said: str, found: Sequence[Found]) -> list[dict[str, Any]] | None:
    """`all`, `none`, numbers of what was found, or paths. Raises `RecallError`."""
    if said.lower() == "all":
        return None
    if said.lower() == "none":
        return []
    if os.path.exists(os.path.expanduser(said)) and not said.isdecimal():
        return [source(Path(said))]  # also a path with spaces in it
    return _entries(said, found)


def source(path: Path) -> dict[str, Any]:
    """An entry for `sources`. Raises `SourceInvalid` for what is not there, or no source."""
    path = Path(os.path.abspath(path.expanduser()))
    content_of(path)
    return {"path": str(path)}


def _entries(said: str, found: Sequence[Found]) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    for word in said.replace(",", " ").split():
        if (entry := _entry(word, found)) not in entries:
            entries.append(entry)
    return entries


def _entry(word: str, found: Sequence[Found]) -> dict[str, Any]:
    if not word.isdecimal():
        return source(Path(word))
    if not 1 <= int(word) <= len(found):
        raise SettingsInvalid(
            f"there is no number {word}", hint="give numbers of the list, paths, all or none"
        )
    settings = found[int(word) - 1].settings
    return {"path": str(settings.path), "type": settings.type}
