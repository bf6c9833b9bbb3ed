"""From a source to snapshots in the outbox: only what is new, changed or gone, without secrets."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from recall_uploader.deadline import Deadline
from recall_uploader.deletes import check_deletes
from recall_uploader.diff import Diff, Scan
from recall_uploader.durable import make_private_folder
from recall_uploader.fit import bound, check_targets, fit
from recall_uploader.redact.discreet import discreet
from recall_uploader.redact.raw import redact_database
from recall_uploader.redact.redactor import Redactor
from recall_uploader.redact.rules import RULES_VERSION
from recall_uploader.settings import UploaderSettings
from recall_uploader.sources.opening import Opened, open_configured, source_key
from recall_uploader.sources.settings import SourceSettings
from recall_uploader.spool import Kind, Origin, Spool, hash_file
from recall_uploader.state import State
from recall_wire.errors import SourceInvalid
from recall_wire.formats import ReadOptions, RecordSource
from recall_wire.formats.signatures import SIGNATURE_BYTES, is_duckdb
from recall_wire.manifest import Source
from recall_wire.records import Record

# A file that unpacks to more than this, and to more than so many times its size, is a bomb.
UNPACKED_MIN_BYTES = 4 << 30
UNPACKED_RATIO = 100

_ROWS_BETWEEN_LOOKS = 1_000
_RULES = "redaction"  # no file's stamp: those go by a hash


@dataclass(frozen=True, slots=True)
class Request:
    """What one `recall upload` was asked for, of one source."""

    source: Path | SourceSettings
    raw: bool = False
    full: bool = False
    confirm_deletes: bool = False

    @property
    def settings(self) -> SourceSettings:
        source = self.source
        return source if isinstance(source, SourceSettings) else SourceSettings(path=source)


@dataclass(frozen=True, slots=True)
class Extracted:
    """What sources held: rows left out, and what a person should know."""

    rows: int = 0
    deletes: int = 0
    bytes: int = 0
    skipped: int = 0
    redacted: int = 0
    warnings: tuple[str, ...] = ()

    def __add__(self, other: Extracted) -> Extracted:
        return Extracted(
            self.rows + other.rows,
            self.deletes + other.deletes,
            self.bytes + other.bytes,
            self.skipped + other.skipped,
            self.redacted + other.redacted,
            self.warnings + other.warnings,
        )


@dataclass(frozen=True, slots=True)
class Ground:
    """What every extraction of a run stands on. `redactor` None: secrets are sent as they are."""

    settings: UploaderSettings
    folder: Path
    deadline: Deadline
    redactor: Redactor | None

    @classmethod
    def of(cls, settings: UploaderSettings, folder: Path, deadline: Deadline) -> Ground:
        redactor = Redactor(settings.redact_rules, settings.redact_allow)
        return cls(settings, folder, deadline, redactor if settings.redact else None)


@dataclass(frozen=True, slots=True)
class OpenSource:
    """A source, opened: what it holds does not change any more."""

    opened: Opened
    origin: Origin
    ground: Ground

    @property
    def records(self) -> RecordSource:
        return self.opened.records

    @property
    def keeps_deletes(self) -> bool:
        """Whether a row that is not there says nothing about the memory."""
        opened = self.opened
        return opened.keeps_deletes or opened.partial or self.ground.settings.deletes == "keep"

    def rows(self) -> Iterator[Record]:
        """Every row, as it may leave the machine. Raises `SourceInvalid` for what no hub would
        take, and `OutOfTime`."""
        settings = self.ground.settings
        limit = max(UNPACKED_MIN_BYTES, UNPACKED_RATIO * self.opened.bytes)
        bounded = bound(in_time(self.records.records(), self.ground.deadline), limit)
        redactor = self.ground.redactor
        clean = redactor.records(bounded) if redactor else bounded
        return fit(check_targets(clean, settings.system_id), settings.embedding)

    def warnings(self) -> tuple[str, ...]:
        """What the reader says of the rows, as it may be shown and logged."""
        said, redactor = self.records.warnings, self.ground.redactor
        return tuple(map(redactor.sentence, said) if redactor else said)


@contextmanager
def opened(request: Request, ground: Ground, state: State) -> Iterator[OpenSource]:
    """Open the source, or a copy of it in the run's folder. Raises `SourceInvalid`, and
    `SourceBusy` where its owner keeps writing; their sentences quote no secret, and neither does
    that of a `RecallError` from within."""
    source, settings = request.settings, ground.settings
    options = ReadOptions(
        time_zone=source.time_zone or settings.time_zone,
        embedding=settings.embedding,
        scratch_dir=ground.folder,
    )
    own = ground.folder / "source"
    make_private_folder(own)
    stamps = {} if request.full else _valid(state.stamps(source_key(source)), settings)
    with (
        discreet(ground.redactor),
        open_configured(source, options, own, stamps=stamps) as found,
    ):
        records = found.records
        origin = Origin(Source(type=records.type, fingerprint=records.fingerprint), found.key)
        yield OpenSource(found, origin, ground)


def _valid(stamps: dict[str, str], settings: UploaderSettings) -> Mapping[str, str]:
    """None, where other rules redact than when the files were read: all are read again."""
    return stamps if stamps.pop(_RULES, None) == _rules(settings) else {}


def _rules(settings: UploaderSettings) -> str:
    """One name for what is redacted, by rules of ours and of the settings."""
    rules = (RULES_VERSION, settings.redact_rules, settings.redact_allow)
    return hashlib.sha256(repr(rules if settings.redact else None).encode()).hexdigest()


def in_time(records: Iterable[Record], deadline: Deadline) -> Iterator[Record]:
    """Every row, until the run's time is up. Raises `OutOfTime`."""
    for number, record in enumerate(records):
        if number % _ROWS_BETWEEN_LOOKS == 0:
            deadline.check()
        yield record


def scan(source: OpenSource, request: Request, state: State) -> tuple[Diff, Scan]:
    """The first pass. Raises `DeletesUnconfirmed` where propagated deletes look like an accident.

    The scan's `gone` is 0 where the source's deletes are kept in the hub.
    """
    diff = Diff(state, source.origin.key)
    found = diff.scan(source.rows(), everything=request.full)
    if source.keeps_deletes:
        return diff, replace(found, gone=0)
    if not request.confirm_deletes:
        check_deletes(
            found,
            known_rows=state.row_count(source.origin.key),
            newest_sent=state.source(source.origin.key).newest_time,
        )
    return diff, found


def extract_rows(source: OpenSource, request: Request, spool: Spool) -> Extracted:
    """Spool what changed. Two passes over the source, so that nothing is spooled of one that
    turns out damaged, or whose deletes nobody confirmed."""
    state, origin = spool.state, source.origin
    diff, found = scan(source, request, state)
    skipped, warnings = source.records.skipped, source.warnings()
    redacted = 0
    if request.full:
        state.send_again(origin.key)
    if found.changed or found.gone:
        kind: Kind = "delta" if state.source(origin.key).complete else "full"
        # A full outbox ends it half-way, and a reader left open would lock the next comparison.
        with closing(diff.changed(source.rows())) as changed, closing(diff.gone()) as gone:
            spooled = spool.rows(origin, kind, changed, gone if found.gone else ())
            redacted = sum(manifest.redacted for manifest in spooled)
    stamps = {**source.opened.stamps, _RULES: _rules(source.ground.settings)}
    state.complete(origin.key, stamps)
    return Extracted(found.changed + found.gone, found.gone, 0, skipped, redacted, warnings)


def extract_raw(source: OpenSource, spool: Spool) -> Extracted:
    """Spool the copied DuckDB file itself, without its secrets, unless it is the one that was
    spooled last."""
    files = raw_files(source.opened)
    digest = raw_digest(files, source.ground)
    if spool.state.source(source.origin.key).raw_sha256 == digest:
        return Extracted()
    log = files[1] if len(files) > 1 else None
    redactor = source.ground.redactor
    if redactor is None:
        spool.raw(source.origin, files[0], log, digest=digest)
        return Extracted()
    clean = source.ground.folder / "redacted.duckdb"
    redacted = redact_database(files[0], clean, redactor, source.ground.folder)
    spool.raw(source.origin, clean, None, digest=digest, redacted=redacted)
    return Extracted(redacted=redacted)


def raw_files(source: Opened) -> list[Path]:
    """The database, and its log where it has one. Raises `SourceInvalid` for another format."""
    copy = source.copy
    if copy is None or not _is_duckdb(copy):
        raise SourceInvalid("the source is no DuckDB file", hint="--raw ships DuckDB files only")
    wal = copy.with_name(f"{copy.name}.wal")
    return [copy, wal] if wal.is_file() and wal.stat().st_size else [copy]


def raw_digest(files: list[Path], ground: Ground) -> str:
    """One name for what is sent of a raw source: the database, its log, and what is redacted."""
    said = [*(hash_file(path)[0] for path in files), _rules(ground.settings)]
    return hashlib.sha256("".join(said).encode()).hexdigest()


def _is_duckdb(path: Path) -> bool:
    with path.open("rb") as file:
        return is_duckdb(file.read(SIGNATURE_BYTES))
