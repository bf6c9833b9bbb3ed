"""From records to snapshots in the outbox: cut, written, numbered, and only then remembered."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Literal

from recall_uploader import durable
from recall_uploader.diff import change_of, delete_of
from recall_uploader.errors import OutboxFull
from recall_uploader.outbox import Outbox
from recall_uploader.redact.record import RedactedRecord
from recall_uploader.snapshot_file import SnapshotFile
from recall_uploader.state import Change, State
from recall_wire.layout import MANIFEST
from recall_wire.manifest import (
    SNAPSHOT_MAX_ROWS,
    DataFile,
    EmbeddingSpace,
    Manifest,
    Producer,
    Source,
)
from recall_wire.records import Record

SNAPSHOT_TEXT_BYTES = 64 << 20

Kind = Literal["delta", "full", "void"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a snapshot's rows come from.

    `key` tells this instance's sources apart, where the fingerprint only tells what they are
    like. It travels as the manifest's watermark, which only this instance reads again; that of a
    raw file also names, after a space, what the source held.
    """

    source: Source
    key: str = ""


FORGET = Origin(Source(type="forget", fingerprint="forget"))
VOID = Origin(Source(type="void", fingerprint="void"))


@dataclass(frozen=True, slots=True)
class Spool:
    """Writes snapshots into the outbox, each under the next number.

    A snapshot is durable in `new/` before the state learns of it, so a crash between the two
    leaves a folder that the next run recovers; its number is never given twice.
    """

    state: State
    outbox: Outbox
    folder: Path
    clock: Callable[[], datetime]
    max_rows: int = SNAPSHOT_MAX_ROWS
    max_text_bytes: int = SNAPSHOT_TEXT_BYTES
    max_outbox_bytes: int | None = None
    embedding: EmbeddingSpace | None = None

    def check_room(self) -> None:
        """Raises `OutboxFull`. What lies there is kept, oldest first; what is new stays where it
        is, in its source, until there is room."""
        if self.max_outbox_bytes is not None and self.outbox.bytes() >= self.max_outbox_bytes:
            raise OutboxFull(
                f"the outbox holds {self.max_outbox_bytes} bytes or more",
                hint="what is new stays in its source and is sent when there is room; see "
                "`recall outbox list` and outbox_max_bytes",
            )

    def rows(
        self, origin: Origin, kind: Kind, rows: Iterable[Record], gone: Iterable[Change] = ()
    ) -> Iterator[Manifest]:
        """Spool a source's rows, and deletes for those that are gone, in as many snapshots as the
        limits ask for; lazy, one at a time. Raises `OutboxFull` between two of them."""
        said = chain(
            ((row, change_of(row)) for row in rows),
            ((delete_of(change), change) for change in gone),
        )
        draft: _Draft | None = None
        for record, change in said:
            if draft is None:
                self.check_room()
                draft = _Draft(self._new_folder())
            draft.add(record, change)
            if draft.file.rows >= self.max_rows or draft.file.text_bytes >= self.max_text_bytes:
                yield self._place_records(draft, origin, kind)
                draft = None
        if draft is not None:
            yield self._place_records(draft, origin, kind)

    def forget(self, memory_ids: Sequence[str]) -> Iterator[Manifest]:
        """Spool the ids as `forget` records, in snapshots of their own."""
        for start in range(0, len(memory_ids), self.max_rows):
            ids = memory_ids[start : start + self.max_rows]
            draft = _Draft(self._new_folder())
            for memory_id in ids:
                draft.add(Record(memory_id=memory_id, op="forget"))
            # The hub expects a new instance to begin with a full snapshot.
            manifest = self._place_draft(draft, FORGET, "full" if self.state.is_new else "delta")
            self.state.learn_forgotten(manifest.seq, ids)
            yield manifest

    def raw(
        self, origin: Origin, database: Path, wal: Path | None, *, digest: str, redacted: int = 0
    ) -> Manifest:
        """Spool a copied DuckDB file, and its log where it has one, as they are.

        The files are moved, not copied: they must lie in a folder of this run's own. `digest`
        names what the source held, before anything in it was redacted.
        """
        self.check_room()
        folder = self._new_folder()
        files = [_take(database, folder, "duckdb", ".duckdb")]
        if wal is not None:
            files.append(_take(wal, folder, "duckdb-wal", ".duckdb.wal"))
        named = replace(origin, key=f"{origin.key} {digest}")
        manifest = self._place(folder, named, "full", tuple(files), redacted=redacted)
        self.state.learn(manifest.seq, origin.key, (), raw_sha256=digest)
        return manifest

    def void(self, seq: int) -> Manifest:
        """Spool `seq` as a snapshot that says nothing, so that the number is no hole."""
        return self._place(self._new_folder(), VOID, "void", (), seq=seq)

    def _place_records(self, draft: _Draft, origin: Origin, kind: Kind) -> Manifest:
        manifest = self._place_draft(draft, origin, kind)
        newest = max((file.max_time for file in manifest.files if file.max_time), default=None)
        self.state.learn(manifest.seq, origin.key, draft.changes, newest_time=newest)
        return manifest

    def _place_draft(self, draft: _Draft, origin: Origin, kind: Kind) -> Manifest:
        files = (draft.file.close(),)
        said = {"deletes": draft.deletes, "redacted": draft.redacted}
        return self._place(draft.folder, origin, kind, files, **said)

    def _place(
        self,
        folder: Path,
        origin: Origin,
        kind: Kind,
        files: tuple[DataFile, ...],
        *,
        deletes: int = 0,
        redacted: int = 0,
        seq: int | None = None,
    ) -> Manifest:
        identity = self.state.identity
        manifest = Manifest(
            system_id=identity.system_id,
            seq=seq or self.state.next_seq,
            machine=identity.machine,
            instance_id=identity.instance_id,
            created_at=self.clock(),
            producer=Producer(name="recall", version=version("recalld")),
            kind=kind,
            source=origin.source,
            watermark=origin.key or None,
            files=files,
            rows=sum(file.rows or 0 for file in files),
            deletes=deletes,
            redacted=redacted,
            embedding=self.embedding if kind != "void" else None,
        )
        durable.write_file(folder / MANIFEST, manifest.to_bytes())
        self.outbox.place(folder, manifest.seq)
        return manifest

    def _new_folder(self) -> Path:
        """An empty folder; what a died run left there is gone."""
        folder = self.folder / "spool"
        shutil.rmtree(folder, ignore_errors=True)
        durable.make_private_folder(folder)
        return folder


@dataclass(slots=True)
class _Draft:
    """A snapshot being written, and what it will mean for the state."""

    folder: Path
    file: SnapshotFile = field(init=False)
    changes: list[Change] = field(default_factory=list)
    deletes: int = 0
    redacted: int = 0

    def __post_init__(self) -> None:
        self.file = SnapshotFile(self.folder)

    def add(self, record: Record, change: Change | None = None) -> None:
        self.file.add(record)
        if change is not None:
            self.changes.append(change)
        if record.op != "upsert":
            self.deletes += 1
        if isinstance(record, RedactedRecord):
            self.redacted += record.redacted


def _take(
    path: Path, folder: Path, format_: Literal["duckdb", "duckdb-wal"], suffix: str
) -> DataFile:
    digest, size = hash_file(path)
    target = path.rename(folder / f"source-{digest[:16]}{suffix}")
    durable.sync_file(target)
    return DataFile(name=target.name, format=format_, bytes=size, sha256=digest)


def hash_file(path: Path) -> tuple[str, int]:
    """The sha256 as hex, and the bytes."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return digest, file.tell()
