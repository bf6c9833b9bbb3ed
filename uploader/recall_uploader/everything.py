"""What a run without a person does: all sources there are, then all that waits."""

from __future__ import annotations

import os
from pathlib import Path

from recall_uploader.app import Instance
from recall_uploader.extract import Request
from recall_uploader.result import UploadResult
from recall_uploader.settings import UploaderSettings
from recall_uploader.sources.find import find_sources
from recall_uploader.sources.settings import SourceSettings
from recall_uploader.upload import upload
from recall_wire.errors import SettingsInvalid


def upload_everything(instance: Instance) -> UploadResult:
    """For the session's end, the timer and the watch. Raises as `upload`."""
    return upload(instance, *map(Request, sources_of(instance.settings)))


def sources_of(settings: UploaderSettings, named: Path | None = None) -> list[SourceSettings]:
    """The source that is named, as the settings describe it where they do; else those in the
    settings; else those in their known places. Raises `SettingsInvalid` where there is none."""
    own = [SourceSettings(path=settings.source)] if settings.source else []
    own += settings.sources or ()
    if named is not None:
        path = named.expanduser().absolute()
        return [source for source in own if source.path.absolute() == path] or [
            SourceSettings(path=path)
        ]
    if own or settings.sources is not None:
        return own
    found = [item.settings for item in find_sources(Path.home(), os.environ)]
    if not found:
        raise SettingsInvalid(
            "no source is named, and there is none in a known place",
            hint="give its path, or set source in the settings; `recall sources` shows where it "
            "looks",
        )
    return found
