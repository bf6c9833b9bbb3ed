"""Pushed snapshots before their commit: a manifest and its batches, each on the disk."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from recall_daemon.errors import BatchesMissing, DiskFull, HubStrained
from recall_daemon.store.ledger import Place
from recall_wire.errors import ManifestInvalid
from recall_wire.layout import MANIFEST, SEQ_DIGITS
from recall_wire.manifest import Manifest, parse_manifest, sha256_hex

_PARTS = ".parts"
_BATCH_NAME = re.compile(r"(?P<number>\d{5})-(?P<rows>\d{1,4})-(?P<sha256>[0-9a-f]{64})\.parquet")


@dataclass(frozen=True)
class Batch:
    """A Parquet file with some of a snapshot's rows. The first has number 1."""

    number: int
    rows: int
    sha256: str

    @property
    def file_name(self) -> str:
        return f"{self.number:05d}-{self.rows}-{self.sha256}.parquet"


@dataclass
class Push:
    """One snapshot that is being pushed. `batches` holds those that are on the disk."""

    place: Place
    folder: Path
    manifest: Manifest
    manifest_sha256: str
    touched_at: datetime
    batches: dict[int, Batch] = field(default_factory=dict)
    sizes: dict[int, int] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        return sum(self.sizes.values())

    def path(self, batch: Batch) -> Path:
        return self.folder / batch.file_name

    def named(self, digests: Sequence[str]) -> list[Batch]:
        """The batches 1, 2, … with these digests. Raises `BatchesMissing`."""
        wanted = list(enumerate(digests, start=1))
        staged = {number: batch.sha256 for number, batch in self.batches.items()}
        missing = [number for number, sha256 in wanted if staged.get(number) != sha256]
        if missing:
            raise BatchesMissing(missing)
        return [self.batches[number] for number, _ in wanted]


class Staging:
    """The folder of all pushes that are open; what a killed hub left is there again.

    Blocking. Whoever calls sees to it that one thing at a time is done to a push. Raises
    `DiskFull` and `HubStrained` where the disk does not play along.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        shutil.rmtree(root / _PARTS, ignore_errors=True)  # bodies that were cut off
        (root / _PARTS).mkdir(parents=True, mode=0o700)
        self._pushes = {push.place: push for push in map(_load, root.glob("*/*")) if push}

    def find(self, place: Place) -> Push | None:
        return self._pushes.get(place)

    def pushes(self) -> list[Push]:
        """All that are open, those first that were touched longest ago."""
        return sorted(self._pushes.values(), key=lambda push: push.touched_at)

    def systems(self) -> set[str]:
        """The systems that have a push open, whose rows lie on this disk."""
        return {push.place.system_id for push in self.pushes()}

    def open(self, place: Place, manifest: Manifest, data: bytes, now: datetime) -> Push:
        """Stage a manifest; batches of another one go. Idempotent."""
        with _translated():
            push = self._pushes.get(place)
            if push is None or push.manifest_sha256 != sha256_hex(data):
                self.remove(place)
                folder = self._make(place)
                push = Push(place, folder, manifest, sha256_hex(data), now)
                with self.part() as part:
                    part.write_bytes(data)
                    _move(part, folder / MANIFEST)
                self._pushes[place] = push
            _touch(push, now)
            return push

    @contextmanager
    def part(self) -> Iterator[Path]:
        """A name of its own for what is still coming in; what is there at the end goes."""
        part = self._root / _PARTS / uuid.uuid4().hex
        try:
            yield part
        finally:
            part.unlink(missing_ok=True)

    def keep(self, push: Push, part: Path, batch: Batch, now: datetime) -> None:
        """Take a body that came in whole: durable, and the only one of its number, afterwards."""
        with _translated():
            size = part.stat().st_size
            self._forget(push, batch.number)
            _move(part, push.path(batch))
            push.batches[batch.number] = batch
            push.sizes[batch.number] = size
            _touch(push, now)

    def remove(self, place: Place) -> None:
        """Idempotent, and never fails: what stays of it goes at the next start."""
        self._pushes.pop(place, None)
        folder = self._folder(place)
        with suppress(OSError):  # the manifest first: without it the rest is nothing
            (folder / MANIFEST).unlink()
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # others of the system are there
            folder.parent.rmdir()

    def others(self, place: Place) -> list[Push]:
        """The system's other pushes, those first that were touched longest ago."""
        return [
            push
            for push in self.pushes()
            if push.place.system_id == place.system_id and push.place != place
        ]

    def _forget(self, push: Push, number: int) -> None:
        known = push.batches.pop(number, None)
        push.sizes.pop(number, None)
        if known is not None:
            push.path(known).unlink(missing_ok=True)

    def _folder(self, place: Place) -> Path:
        # The digest tells systems apart whose ids differ by case alone, where the disk does not.
        digest = hashlib.sha256(place.system_id.encode()).hexdigest()[:8]
        return self._root / f"{place.system_id}~{digest}" / f"{place.seq:0{SEQ_DIGITS}d}"

    def _make(self, place: Place) -> Path:
        folder = self._folder(place)
        folder.mkdir(parents=True, mode=0o700)
        _sync(folder.parent)
        _sync(self._root)
        return folder


def _load(folder: Path) -> Push | None:
    """What an earlier process staged; what it did not finish, or nobody can read, goes."""
    if folder.parent.name == _PARTS:
        return None
    try:
        system_id, seq = folder.parent.name.rpartition("~")[0], int(folder.name)
        data = (folder / MANIFEST).read_bytes()
        manifest = parse_manifest(data, system_id=system_id, seq=seq)
        touched = (folder / MANIFEST).stat().st_mtime
    except (OSError, ValueError, ManifestInvalid):
        shutil.rmtree(folder, ignore_errors=True)
        return None
    place, now = Place(system_id, seq), datetime.fromtimestamp(touched, UTC)
    push = Push(place, folder, manifest, sha256_hex(data), now)
    for path in folder.iterdir():
        if match := _BATCH_NAME.fullmatch(path.name):
            number = int(match["number"])
            push.batches[number] = Batch(number, int(match["rows"]), match["sha256"])
            push.sizes[number] = path.stat().st_size
    return push


def _touch(push: Push, now: datetime) -> None:
    push.touched_at = now
    os.utime(push.folder / MANIFEST, (now.timestamp(), now.timestamp()))


def _move(part: Path, target: Path) -> None:
    """Rename a file; its bytes and its name are on the disk when this returns."""
    _sync(part)
    part.rename(target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        kind = DiskFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else HubStrained
        raise kind(f"a push cannot be stored: {error.strerror or error}") from error
