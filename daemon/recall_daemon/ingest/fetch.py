"""A snapshot's objects into the spool, each checked against its manifest as it streams in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from recall_daemon.errors import SnapshotIncomplete
from recall_daemon.ingest.poll import Found, FoundBare
from recall_wire import layout
from recall_wire.buckets.base import AsyncBucket
from recall_wire.errors import (
    LimitExceeded,
    ManifestInvalid,
    ObjectNotFound,
    SnapshotInvalid,
    UnsafeKey,
)
from recall_wire.manifest import (
    MANIFEST_MAX_BYTES,
    DataFile,
    EmbeddingSpace,
    Manifest,
    parse_manifest,
    sha256_hex,
)


@dataclass(frozen=True)
class SpooledFile:
    """A data file on local disk whose bytes are what the manifest says."""

    path: Path
    format: str
    rows: int | None


@dataclass(frozen=True)
class Spooled:
    """A snapshot on local disk, ready to be read. `manifest` is None for a bare one."""

    system_id: str
    locator: str
    etag: str | None
    files: tuple[SpooledFile, ...]
    manifest: Manifest | None = None
    manifest_sha256: str | None = None
    created_at: datetime | None = None

    @property
    def bytes(self) -> int:
        return sum(file.path.stat().st_size for file in self.files)

    @property
    def is_contract(self) -> bool:
        """True where the files are Parquet in the record schema, not another tool's database."""
        return self.manifest is not None and all(f.format == "parquet" for f in self.files)

    @property
    def embedding(self) -> EmbeddingSpace | None:
        return self.manifest.embedding if self.manifest else None


async def fetch_snapshot(
    bucket: AsyncBucket, found: Found, folder: Path, *, max_bytes: int
) -> Spooled:
    """Stream a committed snapshot into `folder`.

    Raises `ObjectNotFound` where there is no manifest, `ManifestInvalid`, `SnapshotInvalid` for a
    checksum or size that does not fit, `SnapshotIncomplete` for an object that is absent or short.
    """
    key = layout.manifest_key(found.system_id, found.seq)
    try:
        data = await bucket.get(key, max_bytes=MANIFEST_MAX_BYTES)
    except LimitExceeded as error:
        raise ManifestInvalid(f"{key} is larger than a manifest may be") from error
    manifest = parse_manifest(data, system_id=found.system_id, seq=found.seq)
    check_readable(manifest, max_bytes)
    files = [
        await _fetch_file(bucket, manifest, file, folder / file.name) for file in manifest.files
    ]
    return Spooled(
        system_id=found.system_id,
        locator=key,
        etag=found.etag,
        files=tuple(files),
        manifest=manifest,
        manifest_sha256=sha256_hex(data),
        created_at=manifest.created_at,
    )


def check_readable(manifest: Manifest, max_bytes: int) -> None:
    """Raises `SnapshotInvalid` for what this hub cannot or will not read."""
    if manifest.encryption is not None:
        raise SnapshotInvalid(
            f"snapshot {manifest.seq} of {manifest.system_id} is encrypted",
            hint="this hub holds no key",
        )
    if manifest.data_bytes > max_bytes:
        raise LimitExceeded(
            f"snapshot {manifest.seq} of {manifest.system_id} has {manifest.data_bytes} bytes",
            hint=f"this hub reads at most {max_bytes} (max_snapshot_bytes)",
        )


async def _fetch_file(
    bucket: AsyncBucket, manifest: Manifest, file: DataFile, path: Path
) -> SpooledFile:
    key = layout.data_key(manifest.system_id, manifest.seq, file.name)
    try:
        sha256 = await bucket.download(key, path, max_bytes=file.bytes)
    except ObjectNotFound as error:
        raise SnapshotIncomplete(f"{key} is not there yet") from error
    except LimitExceeded as error:
        raise SnapshotInvalid(f"{key} is larger than the {file.bytes} bytes announced") from error
    check_spooled(key, path, file, sha256)
    return SpooledFile(path, file.format, file.rows)


def check_spooled(key: str, path: Path, file: DataFile, sha256: str) -> None:
    """Compare a spooled file with its manifest."""
    size = path.stat().st_size
    if size < file.bytes:
        raise SnapshotIncomplete(f"{key} has {size} of {file.bytes} bytes so far")
    if size > file.bytes or sha256 != file.sha256:
        raise SnapshotInvalid(f"{key} has sha256 {sha256[:16]}…, not the {file.sha256[:16]}… told")


async def fetch_bare(
    bucket: AsyncBucket, found: FoundBare, folder: Path, *, max_bytes: int
) -> Spooled:
    """Stream another tool's snapshot into `folder`. Raises `LimitExceeded`, `ObjectNotFound`."""
    parts = [(found.key, found.bytes)]
    parts += [(found.wal.key, found.wal.bytes)] if found.wal else []
    files = []
    for key, size in parts:
        if size > max_bytes:
            raise LimitExceeded(
                f"{key} has {size} bytes",
                hint=f"this hub reads at most {max_bytes} (max_snapshot_bytes)",
            )
        path = folder / _plain(key.rpartition("/")[2])
        await bucket.download(key, path, max_bytes=max_bytes)
        files.append(SpooledFile(path, _format(key), None))
    return Spooled(found.system_id, found.key, found.version, tuple(files))


def _plain(name: str) -> str:
    """A name that any file system takes, for people to know the object by in error messages."""
    stem = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name)
    return stem[-100:]


def _format(key: str) -> str:
    for suffix, name in ((".duckdb.wal", "duckdb-wal"), (".duckdb", "duckdb")):
        if key.endswith(suffix):
            return name
    if key.endswith(".parquet"):
        return "parquet"
    raise UnsafeKey(f"{key!r} is no snapshot")
