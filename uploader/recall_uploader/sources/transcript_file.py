"""The turns of one transcript, each with the turn that it answers."""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from recall_uploader.sources.frozen import FrozenFile, read_lines
from recall_uploader.sources.transcript_entry import KNOWN_TYPES, Entry, parse_entry
from recall_wire.formats.base import Notes

LINE_MAX_BYTES = 32 << 20
_CHAIN_MAX_ENTRIES = 1_000_000


@dataclass(frozen=True, slots=True)
class Turn:
    entry: Entry
    parent: str | None
    file: FrozenFile


class TranscriptFile:
    """Read as often as is wanted, up to the size it had when it was frozen."""

    def __init__(self, file: FrozenFile, notes: Notes) -> None:
        self._file = file
        self._notes = notes
        self._checksum: int | None = None

    def turns(self) -> Iterator[Turn]:
        """In the file's order. A half-written last line is none yet.

        Raises `SourceBusy` where the file shrank, was replaced, or holds other lines than in the
        reading before.
        """
        chain = _Chain()
        for entry in self._entries():
            if entry.type not in KNOWN_TYPES:
                self._notes.add("were of a type not known here and were left out", entry.type)
            parent = chain.follow(entry)
            if entry.text and entry.uuid:
                yield Turn(entry, parent, self._file)
            elif entry.text:
                self._notes.skip("had no uuid and were left out", self._file.name)

    def _entries(self) -> Iterator[Entry]:
        checksum = 0
        with self._file.open(may_grow=True) as reading:
            for line in read_lines(reading, self._file.size_bytes, LINE_MAX_BYTES):
                checksum = zlib.crc32(line or b"\n", checksum)
                if entry := self._entry(line):
                    yield entry
            if reading.tell() < self._file.size_bytes:
                raise self._file.busy("was cut")
        if self._checksum not in (None, checksum):
            raise self._file.busy("was rewritten")
        self._checksum = checksum

    def _entry(self, line: bytes | None) -> Entry | None:
        if line is None:
            self._notes.skip(
                f"were longer than {LINE_MAX_BYTES >> 20} MiB and were left out", self._file.name
            )
            return None
        # A power cut can leave zeros where a line was to be.
        content = line.removeprefix(b"\xef\xbb\xbf").strip(b"\0 \t\r\n")
        entry = parse_entry(content) if content else None
        if content and entry is None and line.endswith(b"\n"):
            self._notes.skip("were no transcript entry and were left out", self._file.name)
        return entry


class _Chain:
    """From every entry to the nearest turn at or before it; the oldest are forgotten."""

    def __init__(self) -> None:
        self._turns: OrderedDict[str, str | None] = OrderedDict()

    def follow(self, entry: Entry) -> str | None:
        """The turn that this entry follows."""
        before = self._turns.get(entry.parent)
        if entry.uuid and entry.uuid not in self._turns:
            self._turns[entry.uuid] = entry.uuid if entry.text else before
            if len(self._turns) > _CHAIN_MAX_ENTRIES:
                self._turns.popitem(last=False)
        return before
