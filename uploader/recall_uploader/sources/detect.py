"""What lies at a path: told by its content, never by a suffix alone."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from recall_uploader.sources.frozen import freeze_folder, read_lines
from recall_uploader.sources.markdown import SUFFIXES, is_note, is_notes_folder
from recall_uploader.sources.sqlite_copy import MAGIC as SQLITE_MAGIC
from recall_uploader.sources.transcript_entry import is_transcript
from recall_wire.errors import SourceInvalid
from recall_wire.formats.signatures import is_duckdb

Content = Literal["claude-code", "markdown", "duckdb", "sqlite", "records"]

TRANSCRIPT_SUFFIX = ".jsonl"
_SNIFF_BYTES = 256 << 10
_SNIFF_LINES = 50
_SNIFF_FILES = 50


def content_of(path: Path) -> Content:
    """`records` is Parquet or JSON Lines. Raises `SourceInvalid` for a folder of neither kind, and
    for what cannot be read."""
    if path.is_dir():
        return _content_of_folder(path)
    start = _start_of(path)
    if is_duckdb(start):
        return "duckdb"
    if start.startswith(SQLITE_MAGIC):
        return "sqlite"
    if path.name.lower().endswith(SUFFIXES):
        return "markdown"
    return "claude-code" if _is_transcript_file(path) else "records"


def is_transcript_name(name: str) -> bool:
    return name.endswith(TRANSCRIPT_SUFFIX)


def _content_of_folder(path: Path) -> Content:
    # Transcripts first: Claude Code keeps notes of its own beside them.
    if path.name == "projects" and path.parent.name in (".claude", "claude"):
        return "claude-code"
    transcripts = freeze_folder(path, is_transcript_name).files
    if any(_is_transcript_file(file.path) for file in transcripts[:_SNIFF_FILES]):
        return "claude-code"
    if freeze_folder(path, is_note, enter=is_notes_folder).files:
        return "markdown"
    raise SourceInvalid(
        f"the folder {path} holds neither transcripts nor Markdown notes",
        hint="name the database file in it, or set its type",
    )


def _is_transcript_file(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            lines = read_lines(file, _SNIFF_BYTES, _SNIFF_BYTES)
            return any(
                line is not None and is_transcript(line)
                for line, _ in zip(lines, range(_SNIFF_LINES), strict=False)
            )
    except OSError:
        return False


def _start_of(path: Path) -> bytes:
    if not path.exists():
        raise SourceInvalid(f"there is no file or folder {path}", hint="check the path")
    if not path.is_file():
        raise SourceInvalid(f"{path} is neither a file nor a folder")
    try:
        with path.open("rb") as file:
            return file.read(64)
    except OSError as error:
        raise SourceInvalid(
            f"{path} cannot be read: {error.strerror or error}", hint="check its rights"
        ) from error
