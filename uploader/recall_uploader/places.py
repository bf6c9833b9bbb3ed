"""Where memories are looked for, which of these places the next upload reads, and why not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from recall_uploader.settings import UploaderSettings
from recall_uploader.sources.detect import content_of
from recall_uploader.sources.find import find_sources, known_places
from recall_uploader.sources.settings import SourceSettings
from recall_wire.errors import RecallError


@dataclass(frozen=True, slots=True)
class Place:
    """`why`: where it comes from, and what speaks against it, where something does."""

    path: str
    type: str
    taken: bool
    configured: bool
    why: str


def places(settings: UploaderSettings, home: Path, environ: Mapping[str, str]) -> list[Place]:
    """The configured sources first, then the known places. Nothing is opened or changed."""
    own = [SourceSettings(path=settings.source)] if settings.source else []
    own += settings.sources or ()
    if own or settings.sources is not None:
        return [*map(_configured, own), *_not_used(own, home, environ)]
    return list(_known(home, environ))


def _configured(source: SourceSettings) -> Place:
    kind: str = source.type
    why = "in the settings"
    try:
        found = content_of(source.path)
        kind = found if kind == "auto" else kind
    except RecallError as error:
        why += f", but {error.message}"
    return Place(str(source.path), kind, True, True, why)


def _not_used(own: list[SourceSettings], home: Path, environ: Mapping[str, str]) -> Iterator[Place]:
    named = {source.path.resolve() for source in own}
    for item in find_sources(home, environ):
        if item.settings.path.resolve() not in named:
            why = f"{item.why}; the settings name other sources"
            yield Place(str(item.settings.path), item.settings.type, False, False, why)


def _known(home: Path, environ: Mapping[str, str]) -> Iterator[Place]:
    taken = {item.settings.path: item for item in find_sources(home, environ)}
    for item in known_places(home, environ):
        path, kind = item.settings.path, item.settings.type
        if path in taken:
            yield Place(str(path), kind, True, False, item.why)
            continue
        same = next((other for other in taken if other.resolve() == path.resolve()), None)
        why = f"the same as {same}" if same else "nothing is there"
        yield Place(str(path), kind, False, False, f"{item.why}; {why}")
