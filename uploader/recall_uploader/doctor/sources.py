"""Each source: found, readable, and what a first look gives."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from recall_uploader.doctor.look import Look
from recall_uploader.everything import sources_of
from recall_uploader.redact import Redactor
from recall_uploader.redact.discreet import discreet
from recall_uploader.sources.opening import open_configured
from recall_uploader.sources.settings import SourceSettings
from recall_wire.doctor.finding import Finding, failed, note, ok, warning
from recall_wire.errors import RecallError, SettingsInvalid, TransientError
from recall_wire.formats import ReadOptions
from recall_wire.sizes import bytes_text

# What is larger is not copied for a look.
LOOK_MAX_BYTES = 256 << 20
LOOK_ROWS = 1_000


def sources(look: Look) -> Iterator[Finding]:
    try:
        found = sources_of(look.instance.settings)
    except SettingsInvalid as error:
        yield failed("source", error, "warning")
        return
    if not found:
        yield warning(
            "source", "the settings list no source: sources is empty", "`recall sources` helps"
        )
    for source in found:
        yield _look_at(look, source)


def _look_at(look: Look, source: SourceSettings) -> Finding:
    if _is_large(source.path):
        size = bytes_text(source.path.stat().st_size)
        hint = f"`recall upload {source.path} --dry-run` does"
        return note("source", f"{source.path} is there, {size}; that much is not read here", hint)
    settings = look.instance.settings
    try:
        with tempfile.TemporaryDirectory(prefix="recall-doctor-") as folder:
            options = ReadOptions(
                time_zone=settings.time_zone,
                embedding=settings.embedding,
                scratch_dir=Path(folder),
            )
            with (
                discreet(Redactor() if settings.redact else None),
                open_configured(source, options, Path(folder)) as opened,
            ):
                rows = _count(look, opened.records.records())
                return ok("source", f"{source.path}: {opened.records.type}, {rows}")
    except TransientError as error:  # its owner keeps writing: the next upload may find it quiet
        return failed("source", error, "warning")
    except RecallError as error:
        return failed("source", error)
    except OSError as error:
        says = f"{source.path} cannot be looked at: {error.strerror or type(error).__name__}"
        return warning("source", says, "see to its rights, and to the disk of temporary files")


def _count(look: Look, records: Iterator[object]) -> str:
    count = 0
    for _ in islice(records, LOOK_ROWS):
        count += 1
        if look.deadline.left_s <= 0:
            break
    else:
        if count < LOOK_ROWS:
            return f"{count} memories"
    return f"at least {count} memories"


def _is_large(path: Path) -> bool:
    try:
        return path.is_file() and os.stat(path).st_size > LOOK_MAX_BYTES
    except OSError:
        return False
