"""Snapshots on their way: a snapshot's state is the folder it lies in.

`new/` spooled, nothing of it was sent · `sending/` its first PUT may have happened · `sent/` the
head that covers it is written; only the newest manifests are kept · `failed/` taken out by hand
or damaged, kept to look at. Each snapshot is a folder `<seq:012d>/` with `manifest.json` and its
data files.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from recall_uploader import durable
from recall_wire import layout
from recall_wire.errors import ManifestInvalid
from recall_wire.manifest import DataFile, Manifest, parse_manifest, sha256_hex

SENT_KEPT = 20
FAILED_KEPT = 50
PUSHED = "pushed"
FOLDERS = ("new", "sending", "sent", "failed")


@dataclass(frozen=True, slots=True)
class Pending:
    """A snapshot that is not delivered yet. `data` is the manifest, byte for byte as it is PUT."""

    seq: int
    folder: Path
    data: bytes
    manifest: Manifest

    @property
    def sha256(self) -> str:
        return sha256_hex(self.data)

    @property
    def pushed(self) -> bool:
        """The hub has it already; it still has to go into the bucket."""
        return (self.folder / PUSHED).exists()

    @property
    def bytes(self) -> int:
        return len(self.data) + self.manifest.data_bytes

    @property
    def begun(self) -> bool:
        """A part of it may be in the bucket already."""
        return self.folder.parent.name == "sending"

    def path(self, file: DataFile) -> Path:
        return self.folder / file.name


@dataclass(frozen=True, slots=True)
class Broken:
    """A snapshot in the outbox that cannot be sent."""

    seq: int
    folder: Path
    reason: str


class Outbox:
    """The outbox folder. Use under the state folder's lock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self) -> None:
        """Create the folders. Idempotent."""
        for name in FOLDERS:
            durable.make_private_folder(self.folder / name)

    def pending(self) -> list[Pending]:
        """What is not delivered, by number; the broken ones are left out."""
        read = (_read(folder) for folder in self._undelivered())
        return [item for item in read if isinstance(item, Pending)]

    def broken(self) -> list[Broken]:
        read = (_read(folder) for folder in self._undelivered())
        return [item for item in read if isinstance(item, Broken)]

    def place(self, folder: Path, seq: int) -> Path:
        """Put a finished snapshot folder into `new/`. Returns when the disk has it."""
        durable.sync_folder(folder)
        target = self.folder / "new" / _name(seq)
        durable.move_folder(folder, target)
        return target

    def begin(self, pending: Pending) -> Pending:
        """To `sending/`, before its first PUT."""
        if pending.begun:
            return pending
        target = self.folder / "sending" / pending.folder.name
        durable.move_folder(pending.folder, target)
        return Pending(pending.seq, target, pending.data, pending.manifest)

    def mark_pushed(self, pending: Pending) -> None:
        """The hub has acknowledged it. Durable when this returns; idempotent."""
        if pending.pushed:
            return
        durable.write_file(pending.folder / PUSHED, b"")
        durable.sync_folder(pending.folder)

    def bytes(self) -> int:
        """What the undelivered snapshots hold."""
        return sum(pending.bytes for pending in self.pending())

    def failed(self) -> list[Pending | Broken]:
        """What was taken out, oldest number first."""
        return [_read(folder) for folder in self._set_aside()]

    def sent(self) -> list[Manifest]:
        """The newest that were delivered, oldest first; one that cannot be read is left out."""
        folders = sorted(_numbered(self.folder / "sent"))
        read = (_read(folder, whole=False) for folder in folders)
        return [item.manifest for item in read if isinstance(item, Pending)]

    def finish(self, pending: Pending) -> None:
        """To `sent/`: the head that covers it is written."""
        target = self.folder / "sent" / pending.folder.name
        # One may lie there from a former life of the system, in a bucket that is gone.
        shutil.rmtree(target, ignore_errors=True)
        durable.move_folder(pending.folder, target)

    def set_aside(self, folder: Path) -> Path:
        """To `failed/`, under a free name."""
        target = self.folder / "failed" / folder.name
        count = 1
        while target.exists():
            count += 1
            target = target.with_name(f"{folder.name}-{count}")
        durable.move_folder(folder, target)
        return target

    def tidy(self) -> None:
        """Keep of `sent/` only the newest manifests, of `failed/` only the newest snapshots."""
        for folder in self._set_aside()[:-FAILED_KEPT]:
            shutil.rmtree(folder)
        delivered = sorted(_numbered(self.folder / "sent"))
        for folder in delivered[:-SENT_KEPT]:
            shutil.rmtree(folder)
        for folder in delivered[-SENT_KEPT:]:
            for path in folder.iterdir():
                if path.name != layout.MANIFEST:
                    path.unlink()

    def _set_aside(self) -> list[Path]:
        folder = self.folder / "failed"
        found = folder.iterdir() if folder.is_dir() else ()
        return sorted(path for path in found if path.name[: layout.SEQ_DIGITS].isdigit())

    def _undelivered(self) -> list[Path]:
        folders = [*_numbered(self.folder / "sending"), *_numbered(self.folder / "new")]
        return sorted(folders, key=lambda folder: folder.name)


def _read(folder: Path, *, whole: bool = True) -> Pending | Broken:
    """`whole` False: its data files may be gone."""
    seq = int(folder.name[: layout.SEQ_DIGITS])
    try:
        data = (folder / layout.MANIFEST).read_bytes()
        manifest = parse_manifest(data, system_id=_system_id(data), seq=seq)
        pending = Pending(seq, folder, data, manifest)
        wrong = [file.name for file in manifest.files if not _complete(pending.path(file), file)]
    except (OSError, ManifestInvalid) as error:
        return Broken(seq, folder, str(error))
    if wrong and whole:
        return Broken(seq, folder, f"{wrong[0]} is missing or not as long as its manifest says")
    return pending


def _system_id(data: bytes) -> str:
    try:
        return str(json.loads(data)["system_id"])
    except (ValueError, TypeError, KeyError) as error:
        raise ManifestInvalid("its manifest is not readable") from error


def _complete(path: Path, file: DataFile) -> bool:
    return path.is_file() and path.stat().st_size == file.bytes


def _numbered(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if len(path.name) == layout.SEQ_DIGITS and path.name.isdigit() and path.is_dir():
            yield path


def _name(seq: int) -> str:
    return f"{layout.check_seq(seq):0{layout.SEQ_DIGITS}d}"
