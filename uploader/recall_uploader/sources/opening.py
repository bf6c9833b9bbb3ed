"""One configured source, opened for reading, with what its reader must know of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from recall_uploader.durable import make_private_folder
from recall_uploader.source_copy import copy_stable
from recall_uploader.sources.detect import Content, content_of, is_transcript_name
from recall_uploader.sources.frozen import freeze_file, freeze_folder
from recall_uploader.sources.key import source_key
from recall_uploader.sources.mapped import MappedDuckDB, MappedSQLite, duckdb_tables
from recall_uploader.sources.mapping import mapping_needed
from recall_uploader.sources.markdown import (
    MarkdownSource,
    is_note,
    is_notes_folder,
    is_too_large,
)
from recall_uploader.sources.settings import SourceSettings, SourceType
from recall_uploader.sources.sqlite_copy import SQLiteFile, copy_sqlite
from recall_uploader.sources.stamps import select
from recall_uploader.sources.transcripts import TranscriptSource
from recall_wire.errors import SourceInvalid
from recall_wire.formats import ReadOptions, RecordSource, open_source
from recall_wire.formats.duckdb_file import DuckDBFile
from recall_wire.formats.session_buddy import TABLES

__all__ = ["Opened", "open_configured", "source_key"]

_NONE: Mapping[str, str] = MappingProxyType({})
# What a type in the settings asks the content to be.
_CONTENT: dict[SourceType, Content] = {
    "session-buddy": "duckdb",
    "claude-code": "claude-code",
    "duckdb": "duckdb",
    "sqlite": "sqlite",
    "markdown": "markdown",
    "parquet": "records",
    "jsonl": "records",
}
_WORDS: dict[Content, str] = {
    "claude-code": "a transcript of Claude Code, or a folder of them",
    "markdown": "Markdown",
    "duckdb": "a DuckDB database",
    "sqlite": "an SQLite database",
    "records": "no database, transcript or note",
}
_FOLDERS = ("claude-code", "markdown")
_TEXTS = frozenset[Content](["claude-code", "markdown", "records"])
_RECORD_TYPES = {
    "session-buddy": "session-buddy",
    "parquet": "records-parquet",
    "jsonl": "records-jsonl",
}


@dataclass(frozen=True, slots=True)
class Opened:
    """`key` names the source in the state; `bytes` is the size of what is read.

    `copy` is the copied database, where it is one. `partial`: not everything was read, so that a
    row's absence says nothing. `keeps_deletes`: rows that vanish are never deleted in the hub.
    `stamps` are to be given again at the next opening, once all rows of this one are spooled.
    """

    records: RecordSource
    key: str
    bytes: int
    copy: Path | None = None
    partial: bool = False
    keeps_deletes: bool = False
    stamps: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def open_configured(
    source: SourceSettings,
    options: ReadOptions,
    folder: Path,
    *,
    stamps: Mapping[str, str] = _NONE,
) -> Iterator[Opened]:
    """Open a source; a database is copied into `folder` before.

    `stamps`: what an earlier opening gave; transcripts that are as they were then are not read.
    Raises `SourceInvalid`, `SourceBusy` where its owner keeps writing, and `TransientError` where
    there is no space for the copy.
    """
    if source.time_zone is not None:
        options = replace(options, time_zone=source.time_zone)
    opened = _open(source, options, folder, stamps)
    with opened.records:
        yield opened


def _open(
    source: SourceSettings, options: ReadOptions, folder: Path, stamps: Mapping[str, str]
) -> Opened:
    content = _content(source)
    if content == "claude-code":
        return _open_transcripts(source, options, stamps)
    if content == "markdown":
        return _open_notes(source, options)
    own = folder / source_key(source)
    make_private_folder(own)
    if content == "sqlite":
        return _open_sqlite(source, options, own)
    copy = copy_stable(source.path, own)
    if source.columns is None or source.table is None:
        records = _open_file(source, copy, options)
        return Opened(records, source_key(source), copy.stat().st_size, copy)
    mapped = MappedDuckDB(copy, source.table, source.columns, options, kind=source.kind or "note")
    return _of_table(source, mapped, copy)


def _content(source: SourceSettings) -> Content:
    """Raises `SourceInvalid` where the path holds something else than the settings say."""
    path = source.path
    if path.is_dir() and source.type in _FOLDERS:
        return _CONTENT[source.type]
    found = content_of(path)
    wanted = found if source.type == "auto" else _CONTENT[source.type]
    # Whether text is Markdown, a transcript or records is for the settings to say.
    if wanted != found and (path.is_dir() or not {wanted, found} <= _TEXTS):
        raise SourceInvalid(
            f"{path} is set as {source.type} and is {_WORDS[found]}",
            hint="check its path, or set its type to auto",
        )
    if source.maps and wanted not in ("duckdb", "sqlite"):
        raise SourceInvalid(
            f"{path} is {_WORDS[wanted]}, and a mapping is set for it",
            hint="take table and columns out, or check the path",
        )
    return wanted


def _open_transcripts(
    source: SourceSettings, options: ReadOptions, stamps: Mapping[str, str]
) -> Opened:
    path = source.path
    listing = freeze_folder(path, is_transcript_name) if path.is_dir() else freeze_file(path)
    selection = select(listing.files, stamps)
    return Opened(
        TranscriptSource(listing, selection.files, options),
        source_key(source),
        sum(file.size_bytes for file in selection.files),
        partial=bool(listing.unreadable) or len(selection.files) < len(listing.files),
        keeps_deletes=True,
        stamps=selection.stamps,
    )


def _open_notes(source: SourceSettings, options: ReadOptions) -> Opened:
    path = source.path
    folder = path.is_dir()
    listing = freeze_folder(path, is_note, enter=is_notes_folder) if folder else freeze_file(path)
    # A note that is there and was not read must not look as if it had been deleted.
    unread = bool(listing.unreadable) or any(map(is_too_large, listing.files))
    return Opened(
        MarkdownSource(listing, options), source_key(source), listing.size_bytes, partial=unread
    )


def _open_sqlite(source: SourceSettings, options: ReadOptions, folder: Path) -> Opened:
    copy = copy_sqlite(source.path, folder)
    if source.columns is None or source.table is None:
        file = SQLiteFile(copy)
        tables = {t.name: file.columns(t) for t in file.tables if t.is_table}
        raise mapping_needed(source.path, "an SQLite database", tables)
    kind = source.kind or "note"
    return _of_table(
        source, MappedSQLite(copy, source.table, source.columns, options, kind=kind), copy
    )


def _open_file(source: SourceSettings, copy: Path, options: ReadOptions) -> RecordSource:
    """What the file's own content says it is. Raises `SourceInvalid` for a wrong type."""
    try:
        records = open_source(copy, options)
    except SourceInvalid as error:
        raise _unmapped(source, copy, options) or error from error
    wanted = _RECORD_TYPES.get(source.type, records.type)
    if records.type != wanted:
        records.close()
        raise SourceInvalid(
            f"{source.path} is set as {source.type} and holds {records.type}",
            hint="check its path, or set its type to auto",
        )
    return records


def _unmapped(source: SourceSettings, copy: Path, options: ReadOptions) -> SourceInvalid | None:
    """What to say of a DuckDB file that is whole and is not Session-Buddy's."""
    if content_of(copy) != "duckdb":
        return None
    memory_max_bytes = options.memory_max_bytes
    file = DuckDBFile(copy, scratch_dir=options.scratch_dir, memory_max_bytes=memory_max_bytes)
    try:
        tables = [table for table in duckdb_tables(file) if table.is_table]
        if any(table.name.lower() in TABLES for table in tables):
            return None
        columns = {
            t.name: [c.name for c in file.describe(t.schema, t.name).columns] for t in tables
        }
    finally:
        file.close()
    return mapping_needed(source.path, "a DuckDB database", columns) if columns else None


def _of_table(source: SourceSettings, records: RecordSource, copy: Path) -> Opened:
    return Opened(records, source_key(source), copy.stat().st_size, copy)
