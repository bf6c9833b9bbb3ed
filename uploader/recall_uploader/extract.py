"""From a source file to snapshots in the outbox: only what is new, changed or gone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from recall_uploader.deletes import check_deletes
from recall_uploader.diff import Diff, Scan
from recall_uploader.durable import make_private_folder
from recall_uploader.fit import bound, check_targets, fit
from recall_uploader.settings import UploaderSettings
from recall_uploader.source_copy import copy_stable
from recall_uploader.spool import Kind, Origin, Spool, hash_file
from recall_uploader.state import State
from recall_wire.errors import SourceInvalid
from recall_wire.formats import ReadOptions, RecordSource, open_source
from recall_wire.manifest import Source
from recall_wire.records import Record

# A file that unpacks to more than this, and to more than so many times its size, is a bomb.
UNPACKED_MIN_BYTES = 4 << 30
UNPACKED_RATIO = 100

_DUCKDB_MAGIC = b"DUCK"
_DUCKDB_MAGIC_OFFSET = 8


@dataclass(frozen=True, slots=True)
class Request:
    """What one `recall upload` was asked for."""

    source: Path
    raw: bool = False
    full: bool = False
    confirm_deletes: bool = False


@dataclass(frozen=True, slots=True)
class Extracted:
    """What a source held: rows left out, and what a person should know."""

    rows: int = 0
    deletes: int = 0
    bytes: int = 0
    skipped: int = 0
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenSource:
    """A stable copy of a source, opened."""

    copy: Path
    origin: Origin
    records: RecordSource
    settings: UploaderSettings

    def rows(self) -> Iterator[Record]:
        """Every row. Raises `SourceInvalid` for what no hub would take."""
        size = self.copy.stat().st_size
        bounded = bound(self.records.records(), max(UNPACKED_MIN_BYTES, UNPACKED_RATIO * size))
        own = check_targets(bounded, self.settings.system_id)
        return fit(own, self.settings.embedding)


@contextmanager
def opened(request: Request, settings: UploaderSettings, folder: Path) -> Iterator[OpenSource]:
    """Copy the source, with its log, into `folder`, and open the copy. Raises `SourceInvalid`,
    and `SourceBusy` where its owner keeps writing."""
    if request.source.is_dir():
        raise SourceInvalid(f"{request.source} is a folder", hint="name the database file in it")
    own = folder / "source"
    make_private_folder(own)
    copy = copy_stable(request.source, own)
    options = ReadOptions(
        time_zone=settings.time_zone, embedding=settings.embedding, scratch_dir=folder
    )
    with open_source(copy, options) as records:
        source = Source(type=records.type, fingerprint=records.fingerprint)
        yield OpenSource(copy, Origin(source, source_key(request.source)), records, settings)


def source_key(path: Path) -> str:
    """Tells this machine's sources apart by where they lie, without saying where."""
    return hashlib.sha256(f"recall source {path.resolve()}".encode(errors="replace")).hexdigest()[
        :32
    ]


def scan(source: OpenSource, request: Request, state: State) -> tuple[Diff, Scan]:
    """The first pass. Raises `DeletesUnconfirmed` where propagated deletes look like an accident.

    The scan's `gone` is 0 where the source's deletes are kept in the hub.
    """
    diff = Diff(state, source.origin.key)
    found = diff.scan(source.rows(), everything=request.full)
    if source.settings.deletes == "keep":
        return diff, Scan(found.rows, found.changed, 0, found.newest_time)
    if not request.confirm_deletes:
        check_deletes(
            found,
            known_rows=state.row_count(source.origin.key),
            newest_sent=state.source(source.origin.key).newest_time,
        )
    return diff, found


def extract_rows(source: OpenSource, request: Request, spool: Spool) -> Extracted:
    """Spool what changed. Two passes over the copy, so that nothing is spooled of a source that
    turns out damaged, or whose deletes nobody confirmed."""
    state, origin = spool.state, source.origin
    diff, found = scan(source, request, state)
    skipped, warnings = source.records.skipped, tuple(source.records.warnings)
    if found.changed or found.gone:
        kind: Kind = "full" if request.full or not state.source(origin.key).complete else "delta"
        gone = diff.gone() if found.gone else ()
        for _ in spool.rows(origin, kind, diff.changed(source.rows()), gone):
            pass
    state.complete(origin.key)
    return Extracted(found.changed + found.gone, found.gone, 0, skipped, warnings)


def extract_raw(source: OpenSource, spool: Spool) -> Extracted:
    """Spool the copied DuckDB file itself, unless it is the one that was spooled last."""
    files = raw_files(source.copy)
    if raw_is_new(files, spool.state, source.origin.key):
        spool.raw(source.origin, files[0], files[1] if len(files) > 1 else None)
    return Extracted()


def raw_files(copy: Path) -> list[Path]:
    """The database, and its log where it has one. Raises `SourceInvalid` for another format."""
    with copy.open("rb") as file:
        file.seek(_DUCKDB_MAGIC_OFFSET)
        if file.read(len(_DUCKDB_MAGIC)) != _DUCKDB_MAGIC:
            raise SourceInvalid(
                f"{copy.name} is no DuckDB file", hint="--raw ships DuckDB files only"
            )
    wal = copy.with_name(f"{copy.name}.wal")
    return [copy, wal] if wal.is_file() and wal.stat().st_size else [copy]


def raw_is_new(files: list[Path], state: State, source_key: str) -> bool:
    digests = "".join(hash_file(path)[0] for path in files)
    return hashlib.sha256(digests.encode()).hexdigest() != state.source(source_key).raw_sha256
