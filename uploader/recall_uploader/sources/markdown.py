"""A folder of Markdown notes as a source: one record for every note."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any, Self

from recall_uploader.sources.front_matter import FrontMatterBroken, split
from recall_uploader.sources.frozen import FrozenFile, Listing, printable
from recall_wire.formats import values
from recall_wire.formats.base import Notes, ReadOptions, fingerprint_of
from recall_wire.formats.record_row import Row, TableRows
from recall_wire.records import TEXT_MAX_BYTES, Record

SUFFIXES = (".md", ".markdown")
_SKIPPED_FOLDERS = frozenset(["node_modules"])
_CREATED = ("created", "created_at", "date")
_UPDATED = ("updated", "updated_at", "modified", "lastmod")
_TAGS = ("tags", "tag")
_DATED_NAME = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})(?!\d)")
_TIME_MIN_CHARS = len("20260131")


class MarkdownSource:
    """A `RecordSource` over frozen notes; whoever changes one meanwhile makes it `SourceBusy`."""

    type = "markdown"

    def __init__(self, listing: Listing, options: ReadOptions) -> None:
        self._notes = Notes()
        self._zone = options.zone()
        self._rows = TableRows(options, self._notes)
        self._said = listing.sentences()
        self._files = listing.files
        self.fingerprint = fingerprint_of(self.type, ["path", "front matter", "text"])

    @property
    def warnings(self) -> list[str]:
        return self._said + self._notes.sentences()

    @property
    def skipped(self) -> int:
        return self._notes.skipped

    def records(self) -> Iterator[Record]:
        self._notes.clear()
        for file in self._files:
            if is_too_large(file):
                what = f"were larger than {TEXT_MAX_BYTES >> 20} MiB and were left out"
                self._notes.skip(what, printable(file.name))
            elif record := self._rows.record(self._row(file), os.fsencode(file.name)):
                yield record

    def close(self) -> None:
        """Nothing is kept open between two reads."""
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _row(self, file: FrozenFile) -> Row:
        data = self._in_utf8(_read(file), file.name)
        try:
            matter, body = split(data)
        except FrontMatterBroken:
            self._notes.add("had front matter that is no YAML, kept as text", printable(file.name))
            matter, body = {}, data
        modified = _modified(file)
        created = self._time(matter, _CREATED) or self._date_in(file.name) or modified
        return {
            "memory_id": file.name,
            "kind": "note",
            "text": body if body.strip() else None,
            "created_at": created,
            "updated_at": self._time(matter, _UPDATED) or modified,
            "project": _pop(matter, "project"),
            "tags": _tags(matter),
            "metadata": matter,
        }

    def _in_utf8(self, data: bytes, name: str) -> bytes:
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            text = data.decode("utf-16", errors="replace")
            if "\ufffd" in text:
                what = "had text that is not valid UTF-16, repaired"
                self._notes.add(what, printable(name))
            return text.encode()
        return data.removeprefix(codecs.BOM_UTF8)

    def _time(self, matter: dict[str, Any], names: tuple[str, ...]) -> datetime | None:
        """The first that is a time; what is none stays in the metadata."""
        for key in [key for name in names for key in matter if key.lower() == name]:
            value = matter[key]
            if not isinstance(value, date):
                # 2026 is a year, and not a second of 1970.
                value = str(value) if isinstance(value, (str, int)) else ""
                value = value.strip() if len(value.strip()) >= _TIME_MIN_CHARS else None
            if time := values.to_time(value, self._zone):
                del matter[key]
                return time
        return None

    def _date_in(self, name: str) -> datetime | None:
        found = _DATED_NAME.match(name.rpartition("/")[2])
        return values.to_time("-".join(found.groups()), self._zone) if found else None


def is_note(name: str) -> bool:
    """Hidden files are other programs' own."""
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def is_notes_folder(name: str) -> bool:
    return not name.startswith(".") and name not in _SKIPPED_FOLDERS


def is_too_large(file: FrozenFile) -> bool:
    return file.size_bytes > TEXT_MAX_BYTES


def _read(file: FrozenFile) -> bytes:
    with file.open(may_grow=False) as reading:
        data = reading.read(file.size_bytes + 1)
        file.check(reading)
    return data


def _modified(file: FrozenFile) -> datetime | None:
    naive = values.naive_from_micros(file.modified_ns // 1000)
    return values.as_utc(naive) if naive else None


def _pop(matter: dict[str, Any], *names: str) -> object:
    for key in [key for name in names for key in matter if key.lower() == name]:
        return matter.pop(key)
    return None


def _tags(matter: dict[str, Any]) -> tuple[str, ...]:
    found = _pop(matter, *_TAGS)
    tags = values.to_tags(found if isinstance(found, (str, list)) else values.to_text(found))
    return values.to_tags([tag.lstrip("#") for tag in tags])
