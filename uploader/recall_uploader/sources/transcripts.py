"""Claude Code's transcripts as a source: one record for every turn that somebody wrote."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Self

from recall_uploader.sources.frozen import FrozenFile, Listing
from recall_uploader.sources.transcript_entry import metadata_of, session_of
from recall_uploader.sources.transcript_file import TranscriptFile, Turn
from recall_wire.formats import values
from recall_wire.formats.base import Notes, ReadOptions, fingerprint_of
from recall_wire.formats.record_row import Row, TableRows
from recall_wire.records import Record

_AGENT_FILE = "agent-"


class TranscriptSource:
    """A `RecordSource` over frozen transcripts; `files` are those to be read.

    An id that comes again is the same turn, copied into a session that goes on from it. The first
    one counts, and the shortest file goes first: a copy holds what its original held, and more.
    """

    type = "claude-code"

    def __init__(self, listing: Listing, files: list[FrozenFile], options: ReadOptions) -> None:
        self._notes = Notes()
        self._rows = TableRows(options, self._notes)
        self._said = listing.sentences()
        ordered = sorted(files, key=lambda file: (file.size_bytes, file.name))
        self._files = [TranscriptFile(file, self._notes) for file in ordered]
        self.fingerprint = fingerprint_of(self.type, ["uuid", "message.content"])

    @property
    def warnings(self) -> list[str]:
        return self._said + self._notes.sentences()

    @property
    def skipped(self) -> int:
        return self._notes.skipped

    def records(self) -> Iterator[Record]:
        self._notes.clear()
        seen: set[bytes] = set()
        for file in self._files:
            for turn in file.turns():
                identity = values.whole(turn.entry.uuid).encode()
                # 16 bytes a turn: what is remembered does not grow with the ids' length.
                digest = hashlib.blake2b(identity, digest_size=16).digest()
                if digest in seen:
                    continue
                seen.add(digest)
                if record := self._rows.record(_row(turn), identity):
                    yield record

    def close(self) -> None:
        """Nothing is kept open between two reads."""
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _row(turn: Turn) -> Row:
    fields = turn.entry.fields
    stem = PurePosixPath(turn.file.name).stem
    is_agent_file = stem.startswith(_AGENT_FILE)
    agent = fields.get("agentId") or (stem.removeprefix(_AGENT_FILE) if is_agent_file else None)
    return {
        "memory_id": turn.entry.uuid,
        "kind": "conversation",
        "text": turn.entry.text,
        "created_at": fields.get("timestamp"),
        "project": fields.get("cwd"),
        "session_id": session_of(fields) or (None if is_agent_file else stem),
        "agent_id": agent,
        "parent_id": turn.parent,
        "metadata": metadata_of(turn.entry),
    }
